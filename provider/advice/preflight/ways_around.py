"""How Argo can switch without asking, or after asking about something else."""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.manifests import Setup, at
from provider.advice.preflight.switching import production_of
from provider.model.records import HASH_LABEL

ABORT_SCALE_DOWN_DELAY_SECONDS = 30
"""Argo's default."""


def gate(setup: Setup) -> Iterator[Finding]:
    """Something before the switch asks this provider."""
    if (setup.blue_green is None and setup.canary is None) or setup.asks_provider:
        return
    if any(analysis.missing for analysis in setup.gates):
        return  # it may be in the template that is not there, or could not be read
    yield _of(setup, Code.NO_GATE, "No analysis before the switch asks this provider")


def retries(setup: Setup) -> Iterator[Finding]:
    """A retry asks again."""
    delay = at(setup.blue_green, "abortScaleDownDelaySeconds", ABORT_SCALE_DOWN_DELAY_SECONDS)
    if setup.blue_green is not None and delay != 0:
        says = (
            f"abortScaleDownDelaySeconds is {delay}: a retry within that time switches without an analysis before 1.10"
        )
        yield _of(setup, Code.RETRY_SKIPS_GATE, says)


def rollbacks(setup: Setup) -> Iterator[Finding]:
    """A rollback asks too."""
    if at(setup.rollout, "spec.rollbackWindow.revisions"):
        yield _of(setup, Code.ROLLBACK_WINDOW, "rollbackWindow is set: an undo within it runs no analysis")
    if at(setup.rollout, "spec.revisionHistoryLimit") == 0:
        yield _of(setup, Code.NO_WAY_BACK, "revisionHistoryLimit is 0: no version is kept to roll back to")


def later_pods(setup: Setup) -> Iterator[Finding]:
    """Every pod of green exists when the gate asks."""
    count, wanted = at(setup.blue_green, "previewReplicaCount"), at(setup.rollout, "spec.replicas", 1)
    if count is not None and count < wanted:
        says = f"previewReplicaCount is {count} of {wanted} replicas: the other {wanted - count} are never checked"
        yield _of(setup, Code.PREVIEW_REPLICA_COUNT, says)


def stale_verdicts(setup: Setup) -> Iterator[Finding]:
    """The switch follows the verdict at once."""
    if at(setup.blue_green, "autoPromotionEnabled") is False and setup.asks_provider:
        yield _of(setup, Code.STALE_VERDICT, "autoPromotionEnabled is false: nothing asks again when a person promotes")


def first_deploy(setup: Setup) -> Iterator[Finding]:
    """There is a version before green: without one Argo asks nobody. Seen in a cluster only."""
    if setup.manifests.is_live and setup.asks_provider and not at(setup.rollout, "status.stableRS"):
        says = "No version has been promoted yet: the first one takes production traffic without an analysis"
        yield _of(setup, Code.FIRST_DEPLOY, says)


def without_hash(setup: Setup) -> Iterator[Finding]:
    """Each Service by which users reach production selects one version. Seen in a cluster only."""
    if not setup.manifests.is_live or not at(setup.rollout, "status.stableRS"):
        return
    production = production_of(setup)
    fields = {name: field for field, name in setup.service_names.items() if name == production}
    for name, field in {**fields, **_bound_root(setup)}.items():
        service = setup.manifests.find("Service", setup.namespace, name)
        if service is not None and HASH_LABEL not in at(service, "spec.selector", {}):
            says = f"{field} {name} selects no {HASH_LABEL}: pods of every version get its traffic"
            yield _of(setup, Code.ACTIVE_WITHOUT_HASH, says)


def _bound_root(setup: Setup) -> dict[str, str]:
    """Return the rootService of a canary with its field, if it has target groups of its own and selects its pods."""
    root = at(setup.canary, "trafficRouting.alb.rootService")
    service = setup.manifests.find("Service", setup.namespace, root) if root else None
    bindings = setup.manifests.of("TargetGroupBinding", setup.namespace)
    is_bound = any(at(one, "spec.serviceRef.name") == root for one in bindings)
    selector, labels = at(service, "spec.selector", {}), at(setup.pod, "metadata.labels", {})
    selects = bool(selector) and selector.items() <= labels.items()
    return {root: "rootService"} if is_bound and selects and root not in setup.services else {}


def _of(setup: Setup, code: Code, says: str) -> Finding:
    return finding(code, (f"Rollout/{setup.name}",), says)
