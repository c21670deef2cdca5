"""Production as a handover sees it: what Kubernetes and the target groups say now, and what a plan writes there."""

from collections.abc import Mapping

from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.handovers import Address, HandoverRecord
from provider.model.records import same_address
from provider.rules.handover_plan import Facts, Plan
from provider.sources.aws.registrations import DEREGISTER, REGISTER, Registrations
from provider.sources.deadline import Deadline

States = Mapping[str, Mapping[Address, str] | None]
"""By the ARN of a group the state of each target; None for a group that does not exist."""


def read_facts(
    record: HandoverRecord,
    sources: Sources,
    registrations: Registrations,
    deadline: Deadline,
    states: States | None = None,
) -> Facts:
    """Read what decides; last what is behind the production Service, which must not be taken out.

    With `states` the groups are not read. Raises CannotTell.
    """
    cluster = sources.cluster
    rollout, pods = cluster.rollout_and_pods(record.namespace, record.rollout, record.pod_hash, deadline)
    if states is None:
        states = {group.arn: registrations.states(group, deadline) for group in record.groups}
    service, slices = cluster.behind(record.namespace, record.service, deadline)
    return Facts(
        rollout=rollout,
        service=service,
        behind=frozenset(same_address(address) for each in slices for address in each.addresses),
        ready=frozenset(same_address(each.address) for one in slices for each in one.endpoints if each.ready),
        living=frozenset(pod.uid for pod in pods if not pod.terminating),
        states=states,
    )


def write(plan: Plan, registrations: Registrations, deadline: Deadline) -> None:
    """Register and deregister; what fails keeps nothing else from being written. Raises the first CannotTell."""
    errors: list[CannotTell] = []
    record = plan.record
    why = f"handover of {record.rollout} ({record.pod_hash}) in namespace {record.namespace}"
    why += f": {record.ended}" if record.ended else ""
    for group in plan.groups:
        for operation, targets in ((REGISTER, group.register), (DEREGISTER, group.deregister)):
            try:
                registrations.write(operation, group.group, targets, why, deadline)
            except CannotTell as error:
                errors.append(error)
    if errors:
        raise errors[0]
