"""The outcomes as a table, and the failed requests of every second as a drawing (SVG)."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from provider.advice.simulation.run import Outcome, run
from provider.advice.simulation.situation import Green, Situation, Strategy

HEAD = ("strategy", "green", "5xx", "longest hole", "worst latency", "")


def situations(**numbers: Any) -> list[Situation]:
    """Return every strategy with every green; `numbers` are fields of a Situation."""
    return [Situation(strategy, green, **numbers) for green in Green for strategy in Strategy]


def outcomes(some: Iterable[Situation]) -> list[Outcome]:
    """Play them all."""
    return [run(one) for one in some]


def rows(found: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return the cells of each outcome."""
    return [
        (
            one.situation.strategy.value,
            one.situation.green.value,
            f"{one.failed:,.0f}",
            f"{one.longest_hole_seconds:.1f} s",
            f"{one.worst_latency_seconds:.2f} s",
            one.refused,
        )
        for one in found
    ]


def markdown(found: Sequence[Outcome]) -> str:
    """Return the table for the documentation."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows(found))])


def text(found: Sequence[Outcome]) -> str:
    """Return the table for a terminal."""
    every = [tuple(one.upper() for one in HEAD), *rows(found)]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every
    )


ROW, WIDTH, LEFT = 34, 600, 250


def svg(found: Sequence[Outcome]) -> str:
    """Draw a strip for each outcome: the share of failed requests in every second, in words too."""
    parts = []
    for number, one in enumerate(found):
        top = number * ROW + 30
        title = f"{one.situation.strategy.value}, green {one.situation.green.value}: {one.failed:,.0f} failed requests"
        bars = "".join(_bar(one, second, failed, top) for second, failed in enumerate(one.failures) if failed > 0)
        parts.append(
            f'<g><title>{escape(title)}</title><text x="0" y="{top + 12}">{escape(one.situation.strategy.value)}</text>'
            f'<text class="soft" x="0" y="{top + 24}">{escape(one.situation.green.value)}</text>'
            f'<rect class="back" x="{LEFT}" y="{top}" width="{WIDTH}" height="26"/>{bars}</g>'
        )
    height = len(found) * ROW + 40
    style = (
        "text{font:12px system-ui,sans-serif;fill:#1b1f24}.soft{fill:#56606b;font-size:10px}.back{fill:#eef1f4}"
        ".bad{fill:#b23a32}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 10} {height}" role="img" '
        f'aria-label="Share of failed requests in each second after the switch"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{LEFT}" y="18">Share of failed requests in each second after the switch</text>'
        f"{''.join(parts)}</svg>\n"
    )


def _bar(one: Outcome, second: int, failed: float, top: int) -> str:
    width = WIDTH / len(one.failures)
    share = min(failed / one.situation.requests_per_second, 1.0)
    height = max(26 * share, 0.5)
    return (
        f'<rect class="bad" x="{LEFT + second * width:.1f}" y="{top + 26 - height:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
    )
