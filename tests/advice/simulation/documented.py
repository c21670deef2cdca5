"""Writes the table and the drawing of docs/simulation.md: `make simulate`."""

from provider.advice.simulation.report import markdown, outcomes, situations, svg
from tests import ROOT

PAGE, DRAWING = ROOT / "docs" / "simulation.md", ROOT / "docs" / "images" / "simulation.svg"
BEGIN, END = "<!-- simulation -->", "<!-- /simulation -->"


def rendered() -> tuple[str, str]:
    """The page with its table as the code is now, and the drawing."""
    found = outcomes(situations())
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{markdown(found)}\n{END}{rest.partition(END)[2]}", svg(found)


if __name__ == "__main__":
    page, drawing = rendered()
    PAGE.write_text(page, encoding="utf-8")
    DRAWING.write_text(drawing, encoding="utf-8")
