"""Writes what was measured into docs/strategies.md and three rows into README.md, and draws failures by second."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests import ROOT
from tests.real.build import KUBERNETES_VERSION
from tests.traffic.alternatives import ALTERNATIVES, GREENS, WRONG
from tests.traffic.load import VERSION, Answers
from tests.traffic.scenarios import SCENARIOS
from tests.traffic.trial import Result

DOCUMENT, README = ROOT / "docs" / "strategies.md", ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "traffic.svg"
BEGIN, END = "<!-- traffic -->", "<!-- /traffic -->"
IN_README = ("blue-green with the gate", "blue-green with a handover", "ping-pong with the gate")


def write(folder: Path) -> None:
    """Write all results of a folder; the largest size of each row counts."""
    scenarios = [result for row in SCENARIOS for result in _of(folder / "scenarios", row.title, row.green)]
    others = [result for row in ALTERNATIVES for result in _of(folder / "alternatives", row.title, row.green)]
    lines = [
        *_about([*scenarios, *others]),
        "",
        *scenario_table(scenarios),
        "",
        f"![{_CAPTION}](images/{PICTURE.name})",
        "",
    ]
    lines += _cpu([result for result in scenarios if result.title in IN_README])
    if others:
        lines += [_INSTEAD, "", *alternative_table(others), ""]
    if scenarios:
        _replace(DOCUMENT, lines)
        headline = [result for result in scenarios if result.title in IN_README and result.green == "healthy"]
        _replace(README, readme_table(headline))
        PICTURE.write_text(svg(scenarios), encoding="utf-8")


def scenario_table(results: Sequence[Result]) -> list[str]:
    """Return the rows of the scenarios."""
    head = "switch | green | Argo | pods | requests/s | failed | longest hole | forecast | p99, worst"
    rows = [f"| {head} | first switch or abort after | outcome |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        answers, forecast = result.answers, result.forecast
        bounds = f"{forecast['best']:.1f} to {forecast['worst']:.1f} s" if forecast.get("worst") else "none"
        rows.append(
            f"| {result.title} | {result.green} | {result.argo} | {result.pods} | {result.rate:,} | "
            f"{_failed(answers)} | {answers.hole_seconds:.1f} s | {bounds} | "
            f"{answers.p99_seconds:.2f} s, {answers.worst_seconds:.1f} s | {result.seconds:.0f} s | {result.outcome} |"
        )
    return rows


def alternative_table(results: Sequence[Result]) -> list[str]:
    """Return a row for each way and each kind of green."""
    head = "| instead | green | failed | switch or abort after | outcome | AWS calls | API server requests |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for result in sorted(results, key=lambda result: (GREENS.index(result.green), result.title)):
        wrong = result.outcome.startswith(WRONG[result.green])
        outcome = f"**{result.outcome}**" if wrong else result.outcome
        if not result.title.startswith("our gate"):  # the provider runs here all the same, and watches for switches
            result.aws_calls.pop("provider", None)
            result.api_requests.pop("provider", None)
        rows.append(
            f"| {result.title} | {result.green} | {_failed(result.answers)} | {result.seconds:.0f} s | {outcome} | "
            f"{_counted(result.aws_calls)} | {_counted(result.api_requests)} |"
        )
    return rows


def readme_table(results: Sequence[Result]) -> list[str]:
    """Return three rows: what users get at a switch."""
    rows = ["| switch | pods | requests/s | failed requests |", "|---|---|---|---|"]
    newest = max((result.argo for result in results), key=len, default="")
    return rows + [
        f"| {result.title} | {result.pods} | {result.rate:,} | {_failed(result.answers)} |"
        for result in results
        if result.argo == newest
    ]


def _of(folder: Path, title: str, green: str) -> list[Result]:
    """Return the results of a row at its largest size, newest Argo last."""
    found = []
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if (data["title"], data["green"]) == (title, green):
            answers = data.pop("answers")
            answers["by_second"] = {int(second): count for second, count in answers["by_second"].items()}
            found.append(Result(answers=Answers(**answers), **data))
    largest = max((result.pods for result in found), default=0)
    return [result for result in found if result.pods == largest]


def _failed(answers: Answers) -> str:
    kinds = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(answers.kinds.items()))
    return f"{kinds} of {answers.requests:,}" if kinds else f"0 of {answers.requests:,}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{caller} {count:,}" for caller, count in sorted(counts.items())) or "0"


def _replace(document: Path, lines: Sequence[str]) -> None:
    """Put lines between the marks of a document."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{document.name} has no {BEGIN} and {END}, between which the results belong.")
    document.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


_CAPTION = "The share of failed requests in each second around the switch"
_INSTEAD = (
    "What people use instead, each with the settings of its own documentation, 12 pods, 100 requests/s, health checks "
    "every 10 s. A wrong outcome is in bold: a bad green promoted, or a healthy one aborted. A cold one is slow at "
    "first. The Job waits with version 1 of the CLI before the switch. Argo's CloudWatch provider counts targets' 5xx "
    "after it, in Argo 1.9.1, for as long as our own watch: its documentation gives no `count`, and the embedded "
    "CloudWatch does no metric math, so its limit is 1 % of the known rate."
)


def _about(results: Sequence[Result]) -> list[str]:
    """Say when, where and with what it was measured, and what of it is a model."""
    printed = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout
    haproxy = re.search(r"version (\d+\.\d+)", printed)
    plane = f"HAProxy {haproxy[1]}" if haproxy else "HAProxy"
    days = sorted({result.measured_on for result in results})
    load = max((result.load_average for result in results), default=0.0)
    return [
        f"Measured on {' and '.join(days)} on {os.cpu_count()} cores (load average to {load:.0f}) by `make traffic`,",
        f"which writes this section: real Argo Rollouts and API server (Kubernetes {KUBERNETES_VERSION}),",
        f"{plane} as data plane, vegeta {VERSION} as users. With a load average far above the cores,",
        "seconds are too long. AWS, the load balancer controller, the kubelet and the pods are models, those of the",
        "tests: a target is healthy after its first check, within one interval of a registration of 1 s.",
    ]


def _cpu(results: Sequence[Result]) -> list[str]:
    """Say what the largest switch of the README took of the machine."""
    largest = max((result for result in results if result.cpu), key=lambda result: result.rate, default=None)
    if largest is None:
        return []
    spent = ", ".join(f"{part} {seconds:.1f}" for part, seconds in sorted(largest.cpu.items()))
    return [
        f"CPU seconds of the parts ({largest.title}, {largest.pods} pods, {largest.rate:,} requests/s): {spent}.",
        "",
    ]


ROW, WIDTH, LEFT, BEFORE, SECONDS = 34, 600, 300, 5, 60


def svg(results: Sequence[Result]) -> str:
    """Draw a strip for each result: the share of failed requests in every second around its switch, in words too."""
    parts = []
    for number, result in enumerate(results):
        top = number * ROW + 30
        title = f"{result.title}, green {result.green}: {_failed(result.answers)}"
        start = int(result.switched_at) - BEFORE
        bars = "".join(
            _bar(second - start, min(count / result.rate, 1.0), top)
            for second, count in sorted(result.answers.by_second.items())
            if 0 <= second - start < SECONDS
        )
        parts.append(
            f'<g><title>{escape(title)}</title><text x="0" y="{top + 12}">{escape(result.title)}</text>'
            f'<text class="soft" x="0" y="{top + 24}">{escape(result.green)}, Argo {result.argo}</text>'
            f'<rect class="back" x="{LEFT}" y="{top}" width="{WIDTH}" height="26"/>{bars}</g>'
        )
    height = len(results) * ROW + 40
    style = (
        "text{font:12px system-ui,sans-serif;fill:#1b1f24}.soft{fill:#56606b;font-size:10px}.back{fill:#eef1f4}"
        ".bad{fill:#b23a32}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 10} {height}" role="img" '
        f'aria-label="{_CAPTION}"><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{LEFT}" y="18">{_CAPTION} (from {BEFORE} s before it)</text>{"".join(parts)}</svg>\n'
    )


def _bar(second: int, share: float, top: int) -> str:
    width, height = WIDTH / SECONDS, max(26 * share, 0.5)
    return (
        f'<rect class="bad" x="{LEFT + second * width:.1f}" y="{top + 26 - height:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"/>'
    )
