"""Writes to AWS: registers targets and takes them out. The only module of the provider that changes anything.

Only `provider/handover/` may use it (an import contract). Its calls have a budget of their own, a quarter of the load
balancer controller's, and slow down first when AWS throttles.
"""

import logging
from collections.abc import Collection, Iterator
from functools import partial

from provider.model.handovers import Address, RecordedGroup
from provider.sources.aws.service import Account, Api, Service
from provider.sources.bulkheads import Bulkheads, Read
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics

REGISTER, DEREGISTER = "RegisterTargets", "DeregisterTargets"

TOGETHER = 200
"""Targets in one call, as many as the load balancer controller names (pkg/targetgroupbinding/targets_manager.go)."""

CALLS_PER_SECOND, BURST = 1.0, 5.0
"""A quarter of the controller's own budget for these two calls: 4 a second, burst 20 (pkg/aws/throttle/defaults.go)."""


class Registrations:
    """Registers IP targets, and deregisters them."""

    def __init__(self, account: Account, threads: Bulkheads, metrics: Metrics) -> None:
        """Write with the account's credentials, or as its roles."""
        self._threads, self._metrics = threads, metrics
        self._elbv2 = Service(account, Api("elbv2", "elasticloadbalancing", CALLS_PER_SECOND, BURST, {}), metrics)

    def register(self, group: RecordedGroup, targets: Collection[Address], why: str, deadline: Deadline) -> None:
        """Register targets; one that is registered stays as it is. Raises CannotTell, maybe after a part of them."""
        self._write(REGISTER, group, targets, why, deadline)

    def deregister(self, group: RecordedGroup, targets: Collection[Address], why: str, deadline: Deadline) -> None:
        """Deregister targets; one that is not registered is no error. Raises CannotTell, maybe after a part of them."""
        self._write(DEREGISTER, group, targets, why, deadline)

    def _write(
        self, operation: str, group: RecordedGroup, targets: Collection[Address], why: str, deadline: Deadline
    ) -> None:
        for some in _chunks(targets):
            named = [{"Id": address, "Port": port} for address, port in some]
            call = partial(
                self._elbv2.call, operation, group.place, group.name, deadline, TargetGroupArn=group.arn, Targets=named
            )
            # Before the call: one that is never answered may have been carried out.
            logging.getLogger(__name__).warning(
                "%s: %d targets of %s: %s", operation, len(some), group.name, why, extra={"targets": named}
            )
            self._metrics.wrote(operation, len(some))
            self._threads.read(group.place.scope, deadline, Read(f"the answer to {operation} of {group.name}", call))


def _chunks(targets: Collection[Address]) -> Iterator[list[Address]]:
    ordered = sorted(targets)
    for start in range(0, len(ordered), TOGETHER):
        yield ordered[start : start + TOGETHER]
