"""Finding green: the ReplicaSet by its rules, the Service by strategy and stage."""

from dataclasses import replace

import pytest

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import HASH_LABEL, BlueGreen, Canary, Service, ServicePort, Stage
from provider.rules.green import find_green, find_service, service_port
from tests.records import BLUE, GREEN, binding, endpoint, pod, replica_set, rollout, service, topology

PLAIN = Canary(canary_service="canary", stable_service="stable")
PING_PONG = Canary(ping_service="ping", pong_service="pong")
BOTH = replace(PING_PONG, canary_service="canary", stable_service="stable")


def test_green_is_the_rollouts_own_replica_set_of_the_current_hash():
    """Of several ReplicaSets with the hash, green is the one whose controller owner is this Rollout."""
    foreign = replica_set(name="other-web", uid="other", owner_uid="another-rollout", replicas=9)

    green = find_green(topology(replica_sets=(foreign, replica_set())), GREEN)

    assert green.replica_set.name == f"web-{GREEN}"
    assert [pod.name for pod in green.pods] == [f"web-{GREEN}-{number}" for number in range(3)]


def test_greens_pods_are_its_living_own_ones():
    """Terminating pods, and pods of another ReplicaSet with the same hash, are not green's."""
    pods = (pod(0), pod(1, terminating=True), pod(2, owner_uid="another-replica-set"))

    green = find_green(topology(pods=pods), None)

    assert [pod.name for pod in green.pods] == [f"web-{GREEN}-0"]


@pytest.mark.parametrize(
    ("changes", "asked", "reason"),
    [
        ({"rollout": rollout(observed_generation="6")}, None, Reason.ROLLOUT_NOT_OBSERVED),
        ({"rollout": rollout(observed_generation="")}, None, Reason.ROLLOUT_NOT_OBSERVED),
        ({"rollout": rollout(observed_generation="6")}, BLUE, Reason.ROLLOUT_NOT_OBSERVED),
        (
            {"rollout": rollout(workload_generation="4", workload_observed_generation="3")},
            None,
            Reason.ROLLOUT_NOT_OBSERVED,
        ),
        ({"rollout": rollout(workload_generation="4")}, None, Reason.ROLLOUT_NOT_OBSERVED),
        ({}, BLUE, Reason.SUPERSEDED),
        ({"rollout": rollout(current_hash=""), "replica_sets": ()}, GREEN, Reason.SUPERSEDED),
        ({"rollout": rollout(current_hash=""), "replica_sets": ()}, None, Reason.REPLICA_SET_NOT_FOUND),
        ({"replica_sets": ()}, GREEN, Reason.REPLICA_SET_NOT_FOUND),
        ({"replica_sets": (replica_set(owner_uid="another"),)}, GREEN, Reason.REPLICA_SET_NOT_FOUND),
        ({"replica_sets": (replica_set(observed_generation=1),)}, GREEN, Reason.REPLICA_SET_NOT_OBSERVED),
        ({"replica_sets": (replica_set(replicas=0),)}, GREEN, Reason.NO_PODS),
    ],
)
def test_what_keeps_green_from_being_found(changes, asked, reason):
    """An outdated status, an outdated hash and a missing ReplicaSet each have their own reason."""
    with pytest.raises(CannotTell) as raised:
        find_green(topology(**changes), asked)

    assert raised.value.reason is reason


def test_a_workload_ref_that_argo_has_seen_is_fine():
    """A Rollout by workloadRef is found once its workload's generation is observed too."""
    seen = rollout(workload_generation="4", workload_observed_generation="4")

    assert find_green(topology(seen), GREEN).desired == 3


@pytest.mark.parametrize(
    ("strategy", "selecting_green", "rolling", "stable_ping_pong", "chosen", "stage"),
    [
        (BlueGreen("active", "preview"), {"preview"}, True, "", "preview", Stage.BEFORE_SWITCH),
        (BlueGreen("active", "preview"), {"preview", "active"}, True, "", "active", Stage.AFTER_SWITCH),
        (BlueGreen("active", None), {"active"}, True, "", "active", Stage.AFTER_SWITCH),
        (PLAIN, {"canary"}, True, "", "canary", Stage.BEFORE_SWITCH),
        (PLAIN, {"canary", "stable"}, False, "", "stable", Stage.AFTER_SWITCH),
        (PING_PONG, {"ping"}, True, "pong", "ping", Stage.BEFORE_SWITCH),
        (PING_PONG, {"ping"}, True, "", "ping", Stage.BEFORE_SWITCH),
        (PING_PONG, {"pong"}, True, "ping", "pong", Stage.BEFORE_SWITCH),
        (PING_PONG, {"ping"}, False, "ping", "ping", Stage.AFTER_SWITCH),
        (PING_PONG, {"pong"}, False, "pong", "pong", Stage.AFTER_SWITCH),
        (BOTH, {"ping"}, True, "pong", "ping", Stage.BEFORE_SWITCH),
    ],
)
def test_the_green_service_by_strategy_and_stage(strategy, selecting_green, rolling, stable_ping_pong, chosen, stage):
    """The Service that is judged follows the strategy, and the Services' own selectors tell the stage."""
    of = rollout(strategy, stable_hash=BLUE if rolling else GREEN, stable_ping_pong=stable_ping_pong)
    services = {name: service(name, GREEN if name in selecting_green else BLUE) for name in strategy.services}
    look = topology(of, services=services, bindings=tuple(binding(of=name) for name in services))

    found = find_service(look, find_green(look, GREEN), None)

    assert (found.service.name, found.stage) == (chosen, stage)
    assert {binding.service for binding in found.bindings} == {chosen}


def _services(**hashes):
    """Services by name that select these hashes."""
    return {"services": {name: service(name, pod_hash) for name, pod_hash in hashes.items()}}


@pytest.mark.parametrize(
    ("of", "changes", "asked", "reason"),
    [
        (rollout(BlueGreen("active", None)), {}, None, Reason.NO_PREVIEW_SERVICE),
        (rollout(Canary()), {}, None, Reason.NO_STRATEGY_SERVICE),
        (rollout(Canary(stable_service="active")), {}, None, Reason.NO_STRATEGY_SERVICE),
        (rollout(), {}, "backend", Reason.SERVICE_NOT_IN_STRATEGY),
        (rollout(BlueGreen("active", "gone")), {}, None, Reason.SERVICE_NOT_FOUND),
        (rollout(), {"services": {"preview": service("preview")}}, None, Reason.SERVICE_NOT_FOUND),
        (rollout(PLAIN), {"services": {"canary": service("canary")}}, None, Reason.SERVICE_NOT_FOUND),
        (rollout(PING_PONG), {"services": {"ping": service("ping")}}, None, Reason.SERVICE_NOT_FOUND),
        (rollout(), _services(preview=BLUE, active=BLUE), None, Reason.SERVICE_NOT_SWITCHED),
        (rollout(), _services(preview="", active=BLUE), None, Reason.SERVICE_NOT_SWITCHED),
        (rollout(), {}, "active", Reason.SERVICE_NOT_SWITCHED),
        (rollout(PLAIN), _services(canary=BLUE, stable=BLUE), None, Reason.SERVICE_NOT_SWITCHED),
        (rollout(), {"bindings": ()}, None, Reason.NO_BINDING),
        (rollout(), {"bindings": (binding(of="active"),)}, None, Reason.NO_BINDING),
        (rollout(), {"bindings": (binding(port="https"),)}, None, Reason.SERVICE_PORT_NOT_FOUND),
        (rollout(), {"bindings": (binding(port=8080),)}, None, Reason.SERVICE_PORT_NOT_FOUND),
    ],
)  # fmt: skip
def test_what_keeps_the_green_service_from_being_judged(of, changes, asked, reason):
    """Every way in which green can be behind no load balancer blocks with its own reason."""
    look = topology(of, **changes)

    with pytest.raises(CannotTell) as raised:
        find_service(look, find_green(look, GREEN), asked)

    assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("strategy", "asked", "stage"),
    [
        (BlueGreen("active", "preview"), "preview", Stage.BEFORE_SWITCH),
        (PLAIN, "canary", Stage.BEFORE_SWITCH),
        (BOTH, "stable", Stage.BEFORE_SWITCH),
    ],
)
def test_service_overrides_the_choice(strategy, asked, stage):
    """`service` selects another Service of the Rollout, and the stage follows from what it selects."""
    of = rollout(strategy, stable_ping_pong="pong")
    services = {name: service(name) for name in strategy.services}
    look = topology(of, services=services, bindings=(binding(of=asked),), endpoints=(endpoint(0, asked),))

    found = find_service(look, find_green(look, GREEN), asked)

    assert (found.service.name, found.stage) == (asked, stage)
    assert [endpoint.service for endpoint in found.endpoints] == [asked]


@pytest.mark.parametrize(
    ("wanted", "name"), [(80, "http"), ("http", "http"), (8443, "https"), ("https", "https"), (443, None), ("80", None)]
)
def test_service_ref_port_is_a_service_port_never_a_target_port(wanted, name):
    """A number is a ServicePort's port and a text its name; a text of digits is still a name."""
    ports = (ServicePort("http", 80, 0), ServicePort("https", 8443, 0))
    of = Service("preview", {HASH_LABEL: GREEN}, ports, "Cluster")

    found = service_port(of, binding(port=wanted))

    assert (found.name if found else None) == name
