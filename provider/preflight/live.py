"""What will a Rollout's topology do at its switch, told from the objects in the cluster?

It reads the Rollout, its Services, Ingresses, TargetGroupBindings, AnalysisTemplates and its namespace, and nothing of
AWS. `findings` has what was found, the worst first: a stable code, its severity (`blocks`, `risk` or `advice`), the
objects concerned, what will happen, what to change, and where to read more. `notChecked` has each kind that could not
be read, with a sentence; the findings that need it are left out.
"""

from collections.abc import Mapping
from typing import Any

from provider.cluster.manifests import read
from provider.cluster.reader import Cluster
from provider.evidence.deadline import Deadline
from provider.evidence.exceptions import CannotTell
from provider.preflight.findings import Finding
from provider.preflight.inspection import Report, inspect
from provider.preflight.manifests import Manifests, name_of

NAME = "preflight"

ANCHOR = "docs/preflight.md#{code}"


def inspect_live(
    cluster: Cluster, namespace: str, rollout: str, deadline: Deadline
) -> tuple[list[Report], dict[str, str]]:
    """Return the report of a Rollout, and why which kinds were not checked. Raises RolloutNotFound."""
    try:
        found = read(cluster, namespace, rollout, deadline)
    except CannotTell as error:
        return [], {"Rollout": str(error)}
    clustered = {"ClusterAnalysisTemplate", "Namespace"}
    objects = {
        (kind, "" if kind in clustered else namespace, name_of(one)): one
        for kind, some in found.objects.items()
        for one in some
    }
    return inspect(Manifests(objects, is_live=True, unread=frozenset(found.unread))), dict(found.unread)


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
