"""Rollouts whose analysis asks the provider for a handover: they switch without a gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.world.cluster import objects
from tests.world.story.blue_green import BlueGreen
from tests.world.story.rollouts import NAMESPACE

if TYPE_CHECKING:
    from tests.world.aws.api import AwsApi
    from tests.world.story.revisions import Cluster
    from tests.world.story.rollouts import Steps

Ask = Callable[[str, str], "str | None"]
"""Asks the provider about (Rollout, pod template hash); returns Argo's phase, None while there is no answer."""

INTERVAL_SECONDS = 5.0
"""Between two measurements of the analysis."""


class HandedOver(BlueGreen):
    """A blue-green Rollout that switches once the provider has handed green over, and is aborted if it does not."""

    period_seconds = 75.0

    def __init__(
        self, cluster: Cluster, aws: AwsApi, name: str, replicas: int, ask: Ask, *, ramp_seconds: float = 0.5
    ) -> None:
        super().__init__(cluster, aws, name, replicas, ramp_seconds=ramp_seconds)
        self._ask = ask
        self._ask_at: float | None = None
        self._due: list[tuple[float, Callable[[float], None]]] = []
        self._counts: dict[str, int] = {}
        self._run: dict[str, str] | None = None
        self.switched_at: float | None = None
        """When it last switched, in story seconds."""

    def steps(self) -> Steps:
        """Return the steps that do not depend on answers."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (10.0, self.analyse),
            (58.0, self.give_up),
        )

    def analyse(self, second: float) -> None:
        """Begin the analysis before the switch, now that every pod is ready."""
        self.phase, self.message = "Progressing", "active service cutover pending"
        self._ask_at = second
        self._counts = dict.fromkeys(("successful", "failed", "inconclusive", "error"), 0)
        self._say("Running", "")

    def strategy_status(self) -> dict[str, Any]:
        """Name the AnalysisRun before the switch, as Argo does, beside the selectors."""
        status = super().strategy_status()
        if self._run is not None:
            status["blueGreen"]["prePromotionAnalysisRunStatus"] = self._run
        return status

    def _say(self, phase: str, measured: str) -> None:
        """Write the AnalysisRun, with its counters and its last measurement."""
        name = f"{self.name}-{self.green.pod_hash}-{self.generation}-pre"
        self._run = {"name": name, "status": phase}
        run = objects.analysis_run(
            name,
            metric="alb-handover",
            phase=phase,
            counts=self._counts,
            value=f'[100,"{measured}",""]' if measured else "",
            namespace=NAMESPACE,
        )
        self.cluster.kubernetes.put(run)

    def tick(self, now: float) -> None:
        """Measure when it is time, and do what follows from an answer."""
        super().tick(now)
        if self._ask_at is not None and now >= self._ask_at:
            self._measure(now)
        while self._due and now >= self._due[0][0]:
            second, step = self._due.pop(0)
            step(second)
        self.publish()

    def give_up(self, second: float) -> None:
        """Abort green if the handover has not come to its end."""
        if self._ask_at is None:
            return
        self._ask_at = None
        self.aborted_at = self.cluster.now()
        self.phase = "Degraded"
        self.message = f"RolloutAborted: Rollout aborted update to revision {self.generation}"
        self._say("Failed", "")
        self._due.append((second + 2.0, self.drop_green))

    def drop_green(self, second: float) -> None:
        """Scale the aborted green down."""
        self.green.scale_down(now=second)

    def _measure(self, now: float) -> None:
        phase = self._ask(self.name, self.green.pod_hash)
        if phase is None:
            return
        self._ask_at = now + INTERVAL_SECONDS
        self._counts[phase.lower()] += 1
        self._say("Successful" if phase == "Successful" else "Running", phase)
        if phase == "Failed":
            self.give_up(now)
        if phase == "Successful":
            self._ask_at, self.switched_at = None, now
            self.switch(now)
            self._due += [(now + 13.0, self.promote), (now + 21.0, self.scale_down)]
