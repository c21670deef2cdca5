"""Is green as fast as blue, by response times measured here? The rule is that of the check `warm`.

Pure. Both sides get the same requests at the same pace, so only the versions differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from provider.rules.latency import are_few
from provider.rules.proportions import FEWEST_TO_COMPARE

RECENT = 200
"""Number of requests of each side that are judged, the newest: the first ones are slow until green is warm."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the newest requests show; the percentiles are in seconds, None without requests."""

    is_warm: bool
    sentence: str
    green_p95: float | None
    blue_p95: float | None


def judge(green: Sequence[float], blue: Sequence[float], factor: float) -> Comparison:
    """Compare response times in seconds, the newest last."""
    newest, other = green[-RECENT:], blue[-RECENT:]
    green_p95, blue_p95 = p95(newest), p95(other)
    if green_p95 is None or blue_p95 is None or min(len(newest), len(other)) < FEWEST_TO_COMPARE:
        sentence = (
            f"{len(newest)} requests to green and {len(other)} to blue were answered: {FEWEST_TO_COMPARE} are needed"
        )
        return Comparison(is_warm=False, sentence=sentence, green_p95=green_p95, blue_p95=blue_p95)
    slow = sum(seconds > factor * blue_p95 for seconds in newest)
    sentence = (
        f"green's 95th percentile is {green_p95:.3g} s, {green_p95 / blue_p95:.1f} times blue's {blue_p95:.3g} s; "
        f"{slow} of {len(newest)} requests took longer than {factor:g} times blue's"
    )
    return Comparison(is_warm=are_few(slow, len(newest)), sentence=sentence, green_p95=green_p95, blue_p95=blue_p95)


def p95(seconds: Sequence[float]) -> float | None:
    """Return the shortest time that 95 % of the requests did not exceed; None without requests."""
    return sorted(seconds)[ceil(0.95 * len(seconds)) - 1] if seconds else None
