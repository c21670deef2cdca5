"""The six Rollouts of `make run`: what each is an example of, and when it gets its next version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.world.argo.commands import Commands
from tests.world.aws.meter import Users
from tests.world.cluster.store import KubernetesStore
from tests.world.story.examples import NAMESPACE, Manifest, example

NOISY = Fraction(8, 100)
"""The share of 5xx with which the versions `noisy` answer."""
SOME = Fraction(1, 1000)
"""That of all others."""
COLD_MEASUREMENTS = 48
"""After so many without a pass, in eight minutes, the analysis of `cold` pauses; the example waits for 100."""
LOCAL = "localhost"
"""The host of the listener rules of `cold`, whose requests really come."""


@dataclass(frozen=True)
class Member:
    """One Rollout: an example, its size, and its requests per second in production and to the preview Service."""

    name: str
    folder: str
    replicas: int = 4
    requests: int = 20
    preview_requests: int = 1
    behaviour: str = ""
    """How its new versions do: `sick`, `one-sick`, `noisy` or well."""
    begins_at: float = 0.0
    """The first new version, in seconds."""
    rest_seconds: float = 30.0
    """From the end of a version, good or bad, to the next one."""
    change: Callable[[Manifest], None] = lambda _manifest: None
    """What differs from the example."""

    def manifests(self) -> list[Manifest]:
        """Return the objects that are applied."""
        manifests = example(self.folder, self.name, self.replicas)
        for manifest in manifests:
            self.change(manifest)
        return manifests

    def users(self, service: str, tag: str) -> Users:
        """Return the users of a Service whose pods run the image with this tag."""
        rate = self.preview_requests if service.endswith("-preview") else self.requests
        return Users(rate, target_5xx=NOISY if tag.startswith("noisy") else SOME)


def _cold(manifest: Manifest) -> None:
    """Ask what the component `warm-up` asks; a person does what its Job does, and the pause comes earlier without."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-gate":
        manifest["metadata"]["name"] = "alb-gate-warm"
        [metric] = manifest["spec"]["metrics"]
        metric |= {"interval": "10s", "count": COLD_MEASUREMENTS, "inconclusiveLimit": COLD_MEASUREMENTS}
        web = metric["provider"]["web"]
        web["url"] = web["url"].replace("target-health", "target-health,errors,warm&minRequests=100")
    if manifest["kind"] == "Rollout":
        [used] = manifest["spec"]["strategy"]["blueGreen"]["prePromotionAnalysis"]["templates"]
        used["templateName"] = "alb-gate-warm"
    if manifest["kind"] == "Ingress":
        for rule in manifest["spec"]["rules"]:
            rule["host"] = LOCAL


CAST = (
    Member("web", "blue-green", 6),
    Member("broken", "blue-green", behaviour="one-sick", begins_at=1, rest_seconds=60),
    Member("noisy", "ping-pong", requests=50, behaviour="noisy", begins_at=2, rest_seconds=120),
    Member("cold", "blue-green", 3, preview_requests=0, begins_at=3, rest_seconds=1800, change=_cold),
    Member("handover", "blue-green-without-gap", 6, begins_at=4),
    Member("big", "blue-green", 250, requests=200, preview_requests=2, begins_at=5),
)


class Deployer:
    """Deploys the next version of a member: first at `begins_at`, then `rest_seconds` after the end of the last."""

    def __init__(self, kubernetes: KubernetesStore, member: Member) -> None:
        self.member = member
        self.commands = Commands(kubernetes, NAMESPACE, member.name)
        self._version = 1
        self._due: float | None = member.begins_at

    def tick(self, seconds: float) -> None:
        """Deploy if it is time. A version ends Healthy, Degraded or Paused."""
        if not self.commands.exists():
            return
        rollout = self.commands.rollout()
        if self._due is None:
            if _is_over(rollout):
                self._due = seconds + self.member.rest_seconds
        elif seconds >= self._due:
            self._version += 1
            self._due = None
            self.commands.set_image("-".join(filter(None, (self.member.behaviour, f"{self._version}.0.0"))))
        elif self._version > 1 and not _is_over(rollout):
            self._due = None  # a person resumed or retried it


def _is_over(rollout: dict[str, Any]) -> bool:
    status = rollout["status"]
    is_observed = status["observedGeneration"] == str(rollout["metadata"]["generation"])
    return is_observed and status["phase"] in ("Healthy", "Degraded", "Paused")
