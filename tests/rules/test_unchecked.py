"""Which production target groups no check before the switch covers."""

from dataclasses import replace

import pytest

from provider.model.reasons import Phase, Reason
from provider.model.records import BlueGreen, Canary, ServicePort, Stage, Verdict
from provider.rules.unchecked import unchecked, with_unchecked
from tests.records import ARN, BLUE, binding, endpoint, rollout, service, topology

HTTP = ServicePort("http", 80, 30080, "http")
TLS = ServicePort("tls", 443, 30443, 8443)
PLAIN = Canary(canary_service="preview", stable_service="active")
PING_PONG = Canary(ping_service="active", pong_service="preview")
PAIR = {"stable_ping_pong": "ping"}


def arn(name):
    return ARN.replace("k8s-shop-web-1f9c", name)


def production(name, **changes):
    return binding(name, "active", arn=arn(name), **changes)


def look(*bindings, of=None, active=(HTTP, TLS), preview=(HTTP, TLS), **changes):
    """Green before the switch behind preview at port 80 and where `bindings` say; production behind active."""
    services = {"active": service("active", BLUE, ports=active), "preview": service("preview", ports=preview)}
    bound = (binding("own", arn=arn("own")), *bindings)
    return topology(of, services=services, bindings=bound, endpoints=(endpoint(0),), **changes)


@pytest.mark.parametrize(
    ("bindings", "names"),
    [
        ([], ()),
        ([production("http")], ()),
        ([production("http", port="http")], ()),
        ([production("http"), production("tls", port=443)], ("tls",)),
        ([production("tls", port="tls")], ("tls",)),
        ([production("tls", port=443), binding("own-tls", arn=arn("own-tls"), port="tls")], ()),
        ([production("tls", port=443), production("tls-again", port=443)], ("tls", "tls-again")),
        ([production("tls", port=443), production("tls", port=443)], ("tls",)),
        ([production("v6", family="IPv6")], ("v6",)),
        ([production("own", port=443)], ()),
        ([binding("by-name", "active", arn="", group_name="own", port=443)], ()),
        ([binding("by-name", "active", arn="", group_name="tls", port=443)], ("tls",)),
        ([binding("odd", "active", arn="arn:x", port=443)], ("odd",)),
        ([production("gone", port=81)], ()),
        ([binding("other", "somebody", arn=arn("other"), port=443)], ()),
    ],
)
def test_a_group_is_named_if_green_has_no_counterpart(bindings, names):
    """A counterpart reaches the same port of the pods over the same family, or is the very same target group."""
    assert unchecked(look(*bindings), "preview") == names


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [(BlueGreen("active", "preview"), {}), (PLAIN, {}), (PING_PONG, PAIR), (replace(PLAIN, canary_service="x"), {})],
)
def test_production_is_found_in_every_strategy(strategy, changes):
    """The active, the stable, or of a pair the stable one: its groups are compared with those of the judged Service."""
    of = rollout(strategy, **changes)

    assert unchecked(look(production("tls", port=443), of=of), "preview") == ("tls",)
    assert unchecked(look(production("tls", port=443), of=of), "active") == ()


def test_a_canary_without_a_stable_service_names_nothing():
    """Where the strategy names no production Service, nothing is known of its groups."""
    of = rollout(Canary(canary_service="preview"))

    assert unchecked(look(production("tls", port=443), of=of), "preview") == ()


@pytest.mark.parametrize(
    ("active", "preview", "names"),
    [
        ((replace(HTTP, target_port=8080),), (HTTP,), ()),
        ((HTTP,), (replace(HTTP, target_port=8080),), ()),
        ((replace(HTTP, target_port=0, port=8080),), (HTTP,), ()),
        ((replace(HTTP, target_port=8081),), (HTTP,), ("http",)),
        ((replace(HTTP, target_port="admin"),), (HTTP,), ("http",)),
        ((replace(HTTP, target_port="web"),), (replace(HTTP, target_port=8080),), ()),
        ((replace(HTTP, name="web"),), (HTTP,), ()),
    ],
)
def test_ports_are_compared_by_what_they_reach(active, preview, names):
    """Names are resolved by green's EndpointSlices; where none tells, a name and a number of one port are the same."""
    port = active[0].port

    assert unchecked(look(production("http", port=port), active=active, preview=preview), "preview") == names


@pytest.mark.parametrize(
    ("own", "stacks", "names"),
    [
        ("", ["", ""], ()),
        ("shop/web", ["shop/web", "shop/internal"], ("group-1",)),
        ("shop/preview", ["shop/web", "shop/internal"], ()),
        ("", ["shop/web", ""], ("group-0",)),
    ],
)
def test_a_second_ingress_is_named_where_green_is_behind_the_first(own, stacks, names):
    """The controller's labels tell load balancers apart: one that never checks green, beside one that does."""
    bindings = [production(f"group-{number}", stack=stack) for number, stack in enumerate(stacks)]
    base = look(*bindings)
    found = replace(base, bindings=(replace(base.bindings[0], stack=own), *base.bindings[1:]))

    assert unchecked(found, "preview") == names


def verdict(phase=Phase.SUCCESSFUL, stage=Stage.BEFORE_SWITCH):
    return Verdict(phase, Reason.TARGETS_HEALTHY, "All healthy", 100.0, {"service": "preview", "stage": stage.value})


@pytest.mark.parametrize(
    ("count", "clause", "listed"),
    [
        (1, "production target group group-0", 1),
        (2, "production target groups group-0, group-1", 2),
        (7, "production target groups group-0, group-1 and 5 more", 5),
    ],
)
def test_a_pass_before_the_switch_says_what_it_does_not_cover(count, clause, listed):
    """The sentence names two groups and counts the others, and the answer lists at most five."""
    bindings = [production(f"group-{number}", port=443) for number in range(count)]

    found = with_unchecked(verdict(), look(*bindings))

    assert found.message == f"All healthy; no check before the switch covers {clause}"
    assert found.observed["uncheckedTargetGroups"] == [f"group-{number}" for number in range(listed)]


@pytest.mark.parametrize(
    "base", [verdict(Phase.INCONCLUSIVE), verdict(Phase.FAILED), verdict(stage=Stage.AFTER_SWITCH)]
)
def test_where_it_does_not_matter_nothing_is_said(base):
    """What does not pass, and what is after the switch, is the same with and without such a group."""
    assert with_unchecked(base, look(production("tls", port=443))) is base
