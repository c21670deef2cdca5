"""What may become a target in production, what is to be registered, and what may be taken out again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import BlueGreen, Canary, Green, ServicePort
from provider.rules import handover as rules
from provider.rules.green import find_green, find_service
from tests.records import (
    BLUE,
    GREEN,
    LOAD_BALANCER,
    address,
    binding,
    endpoint,
    group,
    pod,
    replica_set,
    rollout,
    service,
    target,
    topology,
)

OTHER = LOAD_BALANCER.replace("app/shop", "app/other")
PRODUCTION = binding("k8s-shop-active-77aa", "active", arn="arn:production")


def world(**changes):
    """Green before the switch, with a target group of its own for each Service."""
    return topology(bindings=(binding(), PRODUCTION), **changes)


def production_of(seen):
    """The production Service as a handover sees it, or the reason why there is none."""
    green = find_green(seen, GREEN)
    return green, rules.find_production(seen, green, find_service(seen, green, None))


def reason_of(seen):
    with pytest.raises(CannotTell) as refusal:
        production_of(seen)
    return refusal.value.reason


def test_green_is_expected_at_the_ports_of_the_production_service():
    """Green's endpoints get production's port: a number as it is, a name as green's pods have it."""
    by_number = service("active", BLUE, ports=(ServicePort("web", 80, 0, 9090),))
    by_name = service("active", BLUE, ports=(ServicePort("web", 80, 0, "http"),))
    green_service = service("preview", ports=(ServicePort("http", 80, 30080, "http"),))

    found = {}
    for name, active in (("number", by_number), ("name", by_name)):
        seen = world(services={"preview": green_service, "active": active})
        _, production = production_of(seen)
        found[name] = {(one.address, one.ports) for one in production.endpoints}

    assert found["number"] == {(address(n), (("web", 9090),)) for n in range(3)}
    assert found["name"] == {(address(n), (("web", 8080),)) for n in range(3)}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param(
            world(of=rollout(Canary(ping_service="preview", pong_service="active"))),
            Reason.HANDOVER_NOT_NEEDED,
            id="ping-pong",
        ),
        pytest.param(world(of=rollout(Canary(canary_service="preview"))), Reason.HANDOVER_IMPOSSIBLE, id="no stable"),
        pytest.param(world(services={"preview": service("preview")}), Reason.SERVICE_NOT_FOUND, id="no Service"),
        pytest.param(topology(bindings=(binding(),)), Reason.NO_BINDING, id="no binding"),
        pytest.param(
            world(
                services={
                    "preview": service("preview"),
                    "active": service("active", BLUE, ports=(ServicePort("http", 80, 0, "admin"),)),
                }
            ),
            Reason.HANDOVER_IMPOSSIBLE,
            id="another named targetPort",
        ),
    ],
)
def test_what_cannot_be_handed_over_is_refused(seen, reason):
    """Each situation in which green cannot, or need not, become a production target has its own reason."""
    assert reason_of(seen) is reason


def test_a_group_of_two_services_is_refused():
    """A production group that another Service's binding fills too, by its ARN or by its name, is refused."""
    other = binding("other", "other", arn="", group_name="k8s-shop-active-77aa")
    production = [group(arn="arn:production")]
    rules.require_own_groups(production, [(other, "arn:another")])

    with pytest.raises(CannotTell, match="TargetGroupBinding other fills") as refusal:
        rules.require_own_groups(production, [(other, "arn:production")])
    assert refusal.value.reason is Reason.HANDOVER_IMPOSSIBLE


def test_only_pods_that_a_load_balancer_checks_are_handed_over():
    """Instance targets need no handover, and a production group in no listener rule would never check anything."""
    rules.require_ip_targets([group()])
    found = []
    for bad in (group(target_type="instance"), group(load_balancer_arns=())):
        with pytest.raises(CannotTell) as refusal:
            rules.require_ip_targets([group(), bad])
        found.append(refusal.value.reason)

    assert found == [Reason.HANDOVER_NOT_NEEDED, Reason.TARGET_GROUP_NOT_IN_USE]


@pytest.mark.parametrize(
    ("own", "passes"), [({"sg-1"}, True), ({"sg-1", "sg-2"}, True), ({"sg-2"}, False), (set(), False)]
)
def test_another_load_balancer_needs_a_common_security_group(own, passes):
    """Production's load balancer reaches green if it shares a security group with one that does."""
    groups = {LOAD_BALANCER: frozenset({"sg-1"}), OTHER: frozenset(own)}
    if passes:
        rules.require_same_reach(groups, {LOAD_BALANCER})
    else:
        with pytest.raises(CannotTell, match="shares no security group") as refusal:
            rules.require_same_reach(groups, {LOAD_BALANCER})
        assert refusal.value.reason is Reason.HANDOVER_IMPOSSIBLE


@pytest.mark.parametrize(
    ("weights", "waits"), [((0,), False), ((0, 0), False), ((), False), ((0, 5), True), ((1,), True)]
)
def test_a_canary_waits_until_nobody_reaches_the_stable_group(weights, waits):
    """A stable group with a weight in any rule is not written to: its users would reach green early."""
    if not waits:
        rules.require_no_users({"stable": weights})
        return
    with pytest.raises(CannotTell, match="setWeight: 100") as refusal:
        rules.require_no_users({"stable": weights})
    assert refusal.value.reason is Reason.HANDOVER_WAITING


def green_of(desired=3):
    pods = tuple(pod(number) for number in range(desired))
    seen = world(pods=pods, replica_sets=(replica_set(replicas=desired, available=desired),))
    seen = replace(seen, endpoints=tuple(endpoint(number) for number in range(desired)))
    return production_of(seen)


STATES = ["healthy", "initial", "unhealthy", "draining", "unused", "unavailable", None]


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=8), st.integers(0, 5))
def test_progress_counts_every_wanted_pod_once(states, blue):
    """Registered are green's targets that are not on their way out; blue is counted beside green."""
    green, production = green_of(len(states))
    targets = [target(number, state) for number, state in enumerate(states) if state]
    targets += [target(500 + number) for number in range(blue)]

    found = rules.progress(green, production, group(*targets, of=PRODUCTION))

    gone = {"draining", "unused", None}
    assert found.wanted == len(states)
    assert found.healthy == states.count("healthy")
    assert found.others == blue
    assert found.registered == sum(state not in gone for state in states)


@given(st.integers(1, 300), st.floats(1, 100), st.integers(0, 300))
def test_a_batch_is_never_more_than_its_percentage(wanted, percent, known):
    """A batch is the percentage, rounded up, of the wanted pods, and keeps those that were recorded before."""
    green, production = green_of(wanted)
    health, most = group(of=PRODUCTION), -int(-wanted * percent // 100)
    every = rules.recorded_group(green, production, health, (), 100)
    recorded = frozenset(sorted(every.targets, key=lambda target: target.pod_uid)[-min(known, most) :] if known else ())

    first = rules.recorded_group(green, production, health, (replace_struct(every, targets=recorded),), percent)

    assert len(every.targets) == wanted
    assert recorded <= first.targets <= every.targets
    assert len(first.targets) == most


def test_green_without_an_address_waits():
    """A pod that has no endpoint yet is wanted and cannot be registered, so it keeps the handover waiting."""
    seen = world(endpoints=(endpoint(0), endpoint(1)))
    green, production = production_of(seen)
    found = rules.progress(green, production, group(target(0), target(1), of=PRODUCTION))

    assert isinstance(green, Green)
    assert isinstance(seen.rollout.strategy, BlueGreen)
    assert (found.wanted, found.healthy, found.registered) == (3, 2, 2)
