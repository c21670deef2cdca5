"""What will a Rollout's topology do at its switch, told from the objects in the cluster?

It reads the Rollout, its Services, Ingresses, TargetGroupBindings, AnalysisTemplates, its namespace and green's pods,
and of AWS the settings of its target groups, within the call budget of all queries.

`findings` has what was found, the worst first: a stable code, its severity (`blocks`, `risk` or `advice`), the objects
concerned, what will happen, what to change, and where to read more. `notChecked` has each kind that could not be read,
with a sentence; the findings that need it are left out. `forecast` has the seconds without a healthy target at the
switch (best, expected and worst that is likely), its timeline, and what would make it shorter, the best first.
"""

from collections.abc import Mapping
from typing import Any

from provider.checks.question import Sources
from provider.cluster.manifests import read
from provider.cluster.reader import FEW
from provider.evidence.deadline import Deadline
from provider.evidence.exceptions import CannotTell
from provider.evidence.records import HASH_LABEL, PodState, TargetGroup, Topology
from provider.preflight.findings import Finding
from provider.preflight.forecast import forecast, remedies
from provider.preflight.inspection import inspect
from provider.preflight.manifests import Manifests, Setup, name_of, setups
from provider.preflight.switching import switch_of

NAME = "preflight"

MOST_PODS = 300
"""Pods that are read whole (10 KB each); of more only the first few."""

ANCHOR = "docs/preflight.md#{code}"


def manifests_of(sources: Sources, namespace: str, rollout: str, deadline: Deadline) -> Manifests:
    """Read a Rollout and what it leads to. Raises RolloutNotFound, and CannotTell if the Rollout cannot be read."""
    found = read(sources.cluster, namespace, rollout, deadline)
    clustered = {"ClusterAnalysisTemplate", "Namespace"}
    objects = {
        (kind, "" if kind in clustered else namespace, name_of(one)): one
        for kind, some in found.objects.items()
        for one in some
    }
    unread = dict(found.unread)
    groups: dict[str, tuple[TargetGroup, ...]] = {}
    pods: tuple[PodState, ...] = ()
    try:
        topology = sources.cluster.topology(namespace, rollout, deadline)
        pods = _pods(topology, sources, deadline)
        groups = _groups(topology, sources, deadline)
    except CannotTell as error:
        unread["TargetGroup"] = str(error)
    return Manifests(objects, is_live=True, unread=unread, groups=groups, pods=pods)


def _groups(topology: Topology, sources: Sources, deadline: Deadline) -> dict[str, tuple[TargetGroup, ...]]:
    """Describe the target groups of the strategy's Services: one call per account and region. Raises CannotTell."""
    if not topology.bindings:
        return {}
    found: dict[str, tuple[TargetGroup, ...]] = {}
    known = sources.load_balancers.groups(topology.bindings, deadline)
    for binding, group in zip(topology.bindings, known, strict=True):
        found[binding.service] = (*found.get(binding.service, ()), group.value)
    return found


def _pods(topology: Topology, sources: Sources, deadline: Deadline) -> tuple[PodState, ...]:
    """Read green's pods whole: all of them up to a limit, else the first few. Raises CannotTell."""
    names = sorted(pod.name for pod in topology.pods)
    some = names if len(names) <= MOST_PODS else names[:FEW]
    if not some:
        return ()
    selector = f"{HASH_LABEL}={topology.rollout.current_hash}"
    return sources.cluster.pod_states(topology.rollout.namespace, some, deadline, selector)


def answer(sources: Sources, namespace: str, rollout: str, deadline: Deadline) -> dict[str, Any]:
    """Return the answer as JSON. Raises RolloutNotFound; what else cannot be read is in `notChecked`."""
    try:
        manifests = manifests_of(sources, namespace, rollout, deadline)
    except CannotTell as error:
        manifests = Manifests({}, is_live=True, unread={"Rollout": str(error)})
    found: dict[str, Any] = {
        "namespace": namespace,
        "rollout": rollout,
        "findings": [observed(one) for report in inspect(manifests) for one in report.findings],
        "notChecked": [{"kind": kind, "says": why} for kind, why in manifests.unread.items()],
    }
    for setup in setups(manifests):
        found["forecast"] = _forecast(setup)
    return found


def _forecast(setup: Setup) -> dict[str, Any]:
    """Return what is to be expected of the Rollout's switch, in seconds."""
    switch = switch_of(setup)
    expected = forecast(switch)
    ranges = {"withoutHealthyTargetSeconds": expected.gap, "untilAllHealthySeconds": expected.whole}
    shown: dict[str, Any] = {
        name: {"best": round(one.best, 1), "expected": round(one.expected, 1), "worst": round(one.worst, 1)}
        for name, one in ranges.items()
    }
    shown |= {"podCount": switch.pods, "healthCheckIntervalSeconds": switch.interval_seconds}
    shown["timeline"] = [{"second": round(one.second, 1), "says": one.says} for one in expected.timeline]
    shown["remedies"] = [
        {"says": says, "withoutHealthyTargetSeconds": round(one.gap.expected, 1)} for says, one in remedies(switch)
    ]
    return shown


def observed(finding: Finding) -> Mapping[str, Any]:
    """Return a finding as JSON and YAML show it."""
    return {
        "code": finding.code.value,
        "severity": finding.severity.value,
        "objects": list(finding.objects),
        "says": finding.says,
        "todo": finding.todo,
        "more": ANCHOR.format(code=finding.code.value.lower()),
    }
