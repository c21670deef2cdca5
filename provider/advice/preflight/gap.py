"""Does the switch leave a time without a healthy target, and how long?"""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.forecast import forecast
from provider.advice.preflight.manifests import Setup
from provider.advice.preflight.switching import production_of, switch_of


def gap(setup: Setup) -> Iterator[Finding]:
    """The switch leaves no time without a healthy target."""
    switch = switch_of(setup)
    if not switch.moves_targets:
        return
    expected = forecast(switch)
    service = production_of(setup)
    says = (
        f"The switch moves the selector of Service {service}, whose targets are pods (ip): "
        f"{expected.gap.says('s')} without a healthy target, and all {switch.pods} healthy after "
        f"{expected.whole.expected:.1f} s"
    )
    yield finding(Code.SWITCH_HAS_GAP, (f"Rollout/{setup.name}", f"Service/{service}"), says)
