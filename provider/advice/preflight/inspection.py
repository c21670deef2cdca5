"""Every rule, and what they find in a set of manifests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provider.advice.preflight import (
    attributes,
    described,
    edits,
    gap,
    gates,
    load_balancer,
    pods,
    queries,
    references,
    templates,
    unchecked,
    ways_around,
)
from provider.advice.preflight.findings import Finding, Severity
from provider.advice.preflight.manifests import Manifests, Setup, setups

Rule = Callable[[Setup], Iterable[Finding]]

RULES: tuple[Rule, ...] = (
    described.rights,
    references.services,
    references.templates,
    references.same_names,
    references.arguments,
    references.defaults,
    templates.fields,
    templates.names,
    templates.conditions,
    templates.json_paths,
    templates.limits,
    templates.dry_runs,
    templates.passes,
    templates.times,
    queries.accepted,
    queries.about_green,
    queries.arguments,
    queries.proxies,
    ways_around.gate,
    ways_around.retries,
    ways_around.rollbacks,
    ways_around.later_pods,
    ways_around.stale_verdicts,
    ways_around.first_deploy,
    ways_around.without_hash,
    load_balancer.behind,
    load_balancer.selectors,
    load_balancer.ports,
    unchecked.ports,
    load_balancer.target_types,
    load_balancer.health_checks,
    gap.gap,
    edits.renamed,
    attributes.gradual,
    attributes.failover,
    load_balancer.bindings,
    load_balancer.quota,
    described.gone,
    described.in_use,
    described.zones,
    described.health_checks,
    gates.label,
    gates.of_pods,
    pods.endings,
    pods.blue,
    pods.kept,
    described.blue,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about one Rollout, the worst first."""

    setup: Setup
    findings: tuple[Finding, ...]

    @property
    def blocks(self) -> bool:
        """Whether something cannot work."""
        return any(one.severity is Severity.BLOCKS for one in self.findings)


def inspect(manifests: Manifests) -> list[Report]:
    """Apply every rule to each Rollout."""
    order = list(Severity)
    reports = []
    for setup in setups(manifests):
        found = dict.fromkeys(one for rule in RULES for one in rule(setup))
        reports.append(Report(setup, tuple(sorted(found, key=lambda one: order.index(one.severity)))))
    return reports
