"""The command `forecast`: how long the switch of a Rollout leaves production without a healthy target."""

import click

from provider.advice.preflight.forecast import Assumed, Forecast, Switch, forecast, remedies, switch_of
from provider.cli.manifests import FILES, LIVE, NAMESPACE, ROLLOUT, setups_of
from provider.model.printable import printable

MOST_LINES = 12
"""Lines of the ramp."""


@click.command("forecast", params=[FILES, LIVE, ROLLOUT, NAMESPACE])
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0),
    help="Requests of all users, to count those at risk. Default: with --live what production got in the last 15 "
    "minutes, else not counted.",
)
@click.option(
    "--requests-per-target-per-second",
    type=click.FloatRange(min=0),
    help="What one target can carry. Default: with --live what it got in production's busiest minute of the last 15, "
    "else not known.",
)
@click.option(
    "--registration-seconds",
    type=click.FloatRange(min=0, max=60),
    default=1.0,
    show_default=True,
    help="How long a registration takes to act, which AWS does not document; half of it at best, twice at worst.",
)
def forecast_(
    files: tuple[str, ...],
    live: bool,  # noqa: FBT001 - click passes names
    rollout: str | None,
    namespace: str,
    requests_per_second: float | None,
    requests_per_target_per_second: float | None,
    registration_seconds: float,
) -> None:
    """Forecast the switch of a Rollout: its timeline, the seconds without a healthy target, and the ramp after it.

    From the same manifests as `preflight`. Each figure comes with the best and the worst that is likely; what AWS does
    not document is an assumption (--registration-seconds).
    """
    blocks = []
    assumed = Assumed(requests_per_second, requests_per_target_per_second, registration_seconds)
    for setup in setups_of(files, namespace, rollout, live=live):
        switch = switch_of(setup, assumed)
        lines = _lines(f"{setup.namespace}/{setup.name}", switch, forecast(switch))
        blocks.append("\n".join(printable(line) for line in lines))
    click.echo("\n\n".join(blocks))


def _lines(name: str, switch: Switch, found: Forecast) -> list[str]:
    if switch.unknown:
        return [f"{name}: not known. {switch.unknown[0].upper()}{switch.unknown[1:]}."]
    if not switch.moves_targets:
        return [f"{name}: no second without a healthy target. {found.timeline[0].says}."]
    every = f"checks every {switch.interval_seconds:g} s"
    lines = [
        f"{name}: {found.gap.says('s')} without a healthy target at each switch",
        f"All {switch.pods} targets are healthy after {found.whole.says('s')}; {every}",
    ]
    if found.in_gap:
        lines.append(
            f"Requests at risk in the gap: {found.in_gap.expected:.0f} ({found.in_gap.best:.0f} to "
            f"{found.in_gap.worst:.0f}), at {switch.requests_per_second:.1f} a second"
        )
    if found.in_ramp is not None:
        each = f"{switch.requests_per_target_per_second:.1f} a second each"
        lines.append(f"Requests beyond what the first targets can carry: {found.in_ramp:.0f}, at {each}")
    lines += ["", "SECOND  WHAT"]
    lines += [f"{moment.second:6.1f}  {moment.says}" for moment in found.timeline]
    if found.in_gap:
        step = max(len(found.ramp) // MOST_LINES, 1)
        lines += ["", "SECOND  HEALTHY  REQUESTS/S PER TARGET"]
        lines += [f"{second:6.1f}  {healthy:7d}  {each:21.1f}" for second, healthy, each in found.ramp[::step]]
    lines += ["", "What would make it shorter:"]
    lines += [f"  {other.gap.expected:.1f} s  {says}" for says, other in remedies(switch)]
    return lines
