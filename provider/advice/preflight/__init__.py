"""Preflight: what a topology will do at its switch, told from its manifests before anything is deployed.

A rule is a function under `@rule` in the file of its topic: what Argo refuses, and how it switches without asking
(`argo`); what templates ask (`templates`), and whether answers can pass (`answers`); what the load balancer sees
(`load_balancer`), and pods (`pods`). To add one: the function, and a case in the table of the tests. Each gets a
`setup`, a Rollout with everything that it leads to, or one metric of it.
"""

from collections.abc import Iterable, Mapping

from provider.advice.preflight import (  # noqa: F401 - their rules register themselves
    answers,
    argo,
    load_balancer,
    pods,
    templates,
)
from provider.advice.preflight.findings import BLOCKS, RISK, RULES, Finding, Report
from provider.advice.preflight.manifests import Manifests, Object, at
from provider.advice.preflight.setup import Setup, setups
from provider.advice.preflight.target_groups import is_load_balancer_known
from provider.sources.kubernetes.schemas import dotted

IGNORE = "alb-provider/ignore"
"""The annotation of a Rollout that ignores findings: a line for each, `CODE[@object]: reason`."""


def inspect(manifests: Manifests, ignored: Iterable[str] = ()) -> list[Report]:
    """Apply every rule to each Rollout. `ignored` has `CODE` or `CODE@object`, as `--ignore` does."""
    return [_report(setup, dict.fromkeys(ignored, "--ignore")) for setup in setups(manifests)]


def not_seen(setup: Setup) -> list[str]:
    """Return a sentence for each thing that the manifests do not tell, so that nothing is found there."""
    sentences = []
    if setup.workload is None:
        sentences.append(f"{' '.join(setup.workload_key)} (workloadRef): its labels, ports and preStop")
    if setup.service_names and not is_load_balancer_known(setup) and not setup.manifests.is_live:
        sentences.append("an Ingress, a route or a TargetGroupBinding: the load balancer")
    for analysis in setup.analyses:
        unknown = [each.name for metric in analysis.metrics if not metric.query for each in metric.unknown_arguments]
        sentences += [f"the argument {name} of {analysis.place}: what it asks" for name in sorted(unknown)]
    return list(dict.fromkeys(sentences))


def _report(setup: Setup, ignored: Mapping[str, str]) -> Report:
    ignored = {**_annotated(setup.rollout), **ignored}
    here = [(key, source) for key, source in setup.manifests.sources.items() if key[1] in {"", setup.namespace}]
    sources = {f"{kind}/{name}": source for (kind, _, name), source in reversed(here)}
    findings: dict[Finding, None] = {}
    for rule in RULES.values():
        for hit in rule.find(setup):
            source = sources.get(hit.objects[0])
            place = source.place(hit.path) if source else None
            severity = RISK if rule.severity is BLOCKS and not hit.is_certain else rule.severity
            findings[Finding(rule.code, severity, hit.objects, hit.says, dotted(hit.path), place)] = None
    every = sorted(findings, key=lambda finding: finding.severity.rank)
    dropped = {finding: reason for finding in every if (reason := _reason(finding, ignored)) is not None}
    return Report(setup, tuple(finding for finding in every if finding not in dropped), dropped)


def _annotated(rollout: Object) -> dict[str, str]:
    text = at(rollout, "metadata.annotations", {}).get(IGNORE, "")
    pairs = [line.partition(":") for line in str(text).splitlines() if line.strip()]
    return {code.strip(): reason.strip() for code, _, reason in pairs if reason.strip()}


def _reason(finding: Finding, ignored: Mapping[str, str]) -> str | None:
    """Return why a finding is ignored; None if it is not."""
    for key, reason in ignored.items():
        code, _, name = key.partition("@")
        names = {part for label in finding.objects for part in (label, label.partition("/")[2])}
        if code == finding.code and (not name or name in names):
            return reason
    return None
