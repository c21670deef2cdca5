"""Takes out of production what a handover registered: never an address behind the production Service."""

from collections.abc import Mapping

from provider.checks.question import Sources
from provider.handover.ledger import Address, Handover
from provider.model.records import TargetGroup
from provider.rules.green import bindings_of, require_service
from provider.rules.handover import left_behind, removable, strangers
from provider.sources.aws.registrations import Registrations
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.reader import Cluster


class Undo:
    """The way back."""

    def __init__(self, cluster: Cluster, registrations: Registrations) -> None:
        """Read the Service's addresses from the cluster, and write through `registrations`."""
        self._cluster = cluster
        self._registrations = registrations

    def handover(self, namespace: str, handover: Handover, why: str, deadline: Deadline) -> None:
        """Undo a handover that is held, and note it. Raises CannotTell; what is still registered then stays noted."""
        if not handover.is_open:
            return
        handover.undo = why
        handover.turn += 1  # before the write: no answer may rest on targets that are on their way out
        for group, targets in list(handover.targets.items()):
            registered = dict.fromkeys(targets, handover.pod_hash)
            self.targets(namespace, handover.service, group, registered, why, deadline)
            handover.forget(group)

    def left_behind(self, namespace: str, name: str, sources: Sources, deadline: Deadline) -> int:
        """Take out every pod of a Rollout that its production Service does not select; return how many.

        For an operator, who knows that no handover is under way. Raises RolloutNotFound and CannotTell.
        """
        topology = sources.cluster.topology(namespace, name, deadline, bypass_cache=True)
        service = topology.rollout.strategy.production_service
        if not service:
            return 0
        production = require_service(topology, service)
        groups = sources.load_balancers.health(bindings_of(topology, production), deadline)
        addresses = self._cluster.addresses(namespace, production.name, deadline)
        pods = self._cluster.addresses_of_pods(topology.rollout, deadline)
        count = 0
        for health in groups:
            found = left_behind(strangers(health, (), addresses), pods, production, green_hash="")
            why = "an operator asked for it"
            count += len(self.targets(namespace, production.name, health.group, found, why, deadline))
        return count

    def targets(
        self,
        namespace: str,
        service: str,
        group: TargetGroup,
        registered: Mapping[Address, str],
        why: str,
        deadline: Deadline,
    ) -> frozenset[Address]:
        """Take targets, by the hash of their pods, out of a production group, and return which.

        What is production's stays. A switch in the very moment may have made some of them production's, so that is read
        again afterwards, and these are registered again. Raises CannotTell.
        """
        gone = removable(registered, *self._cluster.behind(namespace, service, deadline))
        if not gone:
            return gone
        self._registrations.deregister(group, gone, f"handover undone: {why}", deadline)
        by_hash = {one: registered[one] for one in gone}
        kept = removable(by_hash, *self._cluster.behind(namespace, service, deadline))
        self._register_again(namespace, group, {one: by_hash[one] for one in gone - kept}, deadline)
        return kept

    def _register_again(
        self, namespace: str, group: TargetGroup, targets: Mapping[Address, str], deadline: Deadline
    ) -> None:
        """Register what a switch made production's, but for pods that are gone: nobody would take those out again."""
        versions = set(targets.values())
        living = {ip for one in versions for ip in self._cluster.addresses_of_version(namespace, one, deadline)}
        again = frozenset(one for one in targets if one[0] in living)
        if again:
            self._registrations.register(group, again, "they are behind the production Service now", deadline)
