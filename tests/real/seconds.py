"""How long people wait for a healthy green: `python -m tests.real.seconds N`, real Argo Rollouts, shipped templates.

Seconds from the new image to the switch, each way N times in one run, beside the same switch without a gate.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

import click

from tests.real.api import Manifest
from tests.real.build import ARGO_VERSIONS
from tests.real.cast import Cast
from tests.real.control_plane import Argo
from tests.real.facts import Facts
from tests.real.scenarios import handing_over
from tests.real.stage import Pace, Stage

PODS, INTERVAL_SECONDS = 24, 10
SHIPPED = Pace(PODS, {}, INTERVAL_SECONDS)


def without_analyses(manifest: Manifest) -> None:
    """Take every gate and watch out of a Rollout; readiness gates stay."""
    if manifest["kind"] == "Rollout":
        strategy = manifest["spec"]["strategy"]
        strategy.get("blueGreen", {}).pop("prePromotionAnalysis", None)
        strategy.get("blueGreen", {}).pop("postPromotionAnalysis", None)
        if "canary" in strategy:
            strategy["canary"].pop("analysis", None)
            strategy["canary"]["steps"] = [one for one in strategy["canary"]["steps"] if "analysis" not in one]


WAYS: dict[str, tuple[str, tuple[Callable[[Manifest], None], ...]]] = {
    "blue-green without a gate": ("blue-green", (without_analyses,)),
    "blue-green with the gate": ("blue-green", ()),
    "blue-green with a handover": ("blue-green-without-gap", ()),
    "ping-pong without a gate": ("ping-pong", (without_analyses,)),
    "ping-pong with the gate": ("ping-pong", ()),
}


def seconds_of(stage: Stage, way: str) -> float:
    """Return the seconds from the new image to the switch."""
    folder, changes = WAYS[way]
    with handing_over(stage) if folder == "blue-green-without-gap" else nullcontext():
        stage.set_up(folder, *changes)
        began = monotonic()
        stage.deploy("2")
        stage.until_switched()
        switch = stage.cast.watcher.events(stage.namespace, "production")[-1]
        stage.api.delete("Rollout", stage.namespace, stage.rollout_name)
    return switch.second - began


@click.command()
@click.argument("times", type=int, default=3)
@click.option("--version", type=click.Choice(ARGO_VERSIONS), default=ARGO_VERSIONS[-1])
def main(times: int, version: str) -> None:
    """Print the seconds of each way, and how much more they are than without a gate."""
    with TemporaryDirectory() as folder, Cast(Path(folder)) as cast, Argo(cast.plane, version) as argo:
        found = {
            way: [seconds_of(Stage(cast, argo, f"s{number}-{turn}", Facts(), SHIPPED), way) for turn in range(times)]
            for number, way in enumerate(WAYS)
        }
    for way, seconds in found.items():
        base = next(those for name, those in found.items() if name == f"{way.split()[0]} without a gate")
        more = median(seconds) - median(base)
        listed = ", ".join(f"{one:.1f}" for one in seconds)
        click.echo(f"{way}: {median(seconds):.1f} s ({listed}), {more:+.1f} s; Argo {version}, {PODS} pods")


if __name__ == "__main__":
    main()
