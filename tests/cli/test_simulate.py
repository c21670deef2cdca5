"""The command `simulate`."""

import pytest

COMMAND = ("simulate",)


def test_a_table_and_a_drawing(run, tmp_path):
    """It prints every strategy with every green, and writes the drawing where it is told."""
    drawing = tmp_path / "switch.svg"

    code, out, _ = run("--pods", "4", "--requests-per-second", "40", "--seconds", "10", "--svg", str(drawing))

    assert code == 0
    assert out.splitlines()[0].split()[:3] == ["STRATEGY", "GREEN", "5XX"]
    assert "ping-pong with the gate" in out
    assert drawing.read_text(encoding="utf-8").startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pods", "0"), "0 is not in the range 1<=x<=1000"),
        (("--pods", "1", "--seconds", "10", "--svg", "/does/not/exist.svg"), "Cannot write /does/not/exist.svg"),
    ],
)
def test_misuse(run, arguments, sentence):
    """What is out of range, or cannot be written, is a sentence, and the exit code is 3."""
    code, _, err = run(*arguments)

    assert (code, sentence in err) == (3, True)
