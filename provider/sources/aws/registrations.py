"""Production's targets, for handovers: reads, registers and deregisters them. The only module that changes AWS.

Only `provider/handover/` may use it (an import contract). Its calls have budgets of their own, apart from those of
queries: a handover that is under way must not wait in their queue.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from provider.model.errors import CannotTell
from provider.model.handovers import Address, RecordedGroup
from provider.model.reasons import Reason
from provider.model.records import same_address
from provider.sources.aws import target_health_xml
from provider.sources.aws.service import Account, Api, Service
from provider.sources.bulkheads import Bulkheads, Read
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics

REGISTER, DEREGISTER = "RegisterTargets", "DeregisterTargets"

TOGETHER = 200
"""Targets in one call, as many as the load balancer controller names (pkg/targetgroupbinding/targets_manager.go)."""

CALLS_PER_SECOND, BURST = 1.0, 5.0
"""Writes: a quarter of the controller's own budget, 4 a second and a burst of 20 (pkg/aws/throttle/defaults.go)."""

READS_PER_SECOND, READ_BURST = 3.0, 12.0
"""Reads: of the 10 a second and the burst of 40 that AWS allows an account in a region."""


class Registrations:
    """Reads the states of IP targets, registers and deregisters them."""

    def __init__(self, account: Account, threads: Bulkheads, metrics: Metrics) -> None:
        """Call with the account's credentials, or as its roles."""
        self._threads, self._metrics = threads, metrics
        events = {target_health_xml.EVENT: target_health_xml.before_parse}
        reads = Api("elbv2", "elasticloadbalancing", READS_PER_SECOND, READ_BURST, events, takes_turns=False)
        writes = Api("elbv2", "elasticloadbalancing", CALLS_PER_SECOND, BURST, {}, takes_turns=False)
        self._reads, self._writes = Service(account, reads, metrics), Service(account, writes, metrics)

    def states(self, group: RecordedGroup, deadline: Deadline) -> Mapping[Address, str] | None:
        """Return AWS's word for the state of each target now; None if the group does not exist. Raises CannotTell."""
        try:
            answer = self._call(self._reads, target_health_xml.OPERATION, group, deadline)
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                raise
            return None
        return {(same_address(target.id), target.port): target.state for target in answer[target_health_xml.TARGETS]}

    def write(
        self, operation: str, group: RecordedGroup, targets: Collection[Address], why: str, deadline: Deadline
    ) -> None:
        """Register or deregister targets; what is so already stays so. Raises CannotTell, maybe after a part."""
        ordered = [{"Id": address, "Port": port} for address, port in sorted(targets)]
        for start in range(0, len(ordered), TOGETHER):
            named = ordered[start : start + TOGETHER]
            # Before the call: one that is never answered may have been carried out.
            logging.getLogger(__name__).warning(
                "%s: %d targets of %s: %s", operation, len(named), group.name, why, extra={"targets": named}
            )
            self._metrics.written_targets.labels(operation).inc(len(named))
            self._call(self._writes, operation, group, deadline, Targets=named)

    def _call(self, service: Service, operation: str, group: RecordedGroup, deadline: Deadline, **more: Any) -> Any:
        """Call on threads of our own, since those of queries may all wait for their budget."""

        def call() -> Any:
            return service.call(operation, group.place, group.name, deadline, TargetGroupArn=group.arn, **more)

        what = f"the answer to {operation} of {group.name}"
        (answer,) = self._threads.read(("handover", group.place.scope), deadline, Read(what, call))
        return answer
