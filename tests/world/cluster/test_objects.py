"""The object builders and the EndpointSlice controller's rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.world.cluster import objects

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROLLOUT = objects.rollout("web", current_hash="green", stable_hash="blue", strategy={"blueGreen": {}})
GREEN = objects.replica_set(ROLLOUT, "green", replicas=1)
SERVICE = objects.service("web", selector={"app": "web", objects.HASH_LABEL: "green"})


def pod(name: str, **changes: Any) -> dict[str, Any]:
    """Build a ready pod of green, changed as given."""
    given: dict[str, Any] = {"ip": "10.0.0.4", "created_at": NOW, "containers_ready_since": NOW} | changes
    return objects.pod(GREEN, name, **given)


def test_slices_hold_at_most_100_endpoints() -> None:
    """250 pods make three slices."""
    pods = [pod(f"p{number}", ip=f"10.0.0.{number}") for number in range(250)]

    slices = objects.endpoint_slices(SERVICE, pods)

    assert [len(each["endpoints"]) for each in slices] == [100, 100, 50]
    assert len({each["metadata"]["name"] for each in slices}) == 3


def test_named_target_port_is_resolved_per_pod() -> None:
    """Pods that give one port name to two numbers are in two slices."""
    slices = objects.endpoint_slices(SERVICE, [pod("a"), pod("b", container_ports={"http": 9090})])

    assert [each["ports"][0]["port"] for each in slices] == [8080, 9090]


def test_endpoint_conditions() -> None:
    """A terminating pod stays as serving but not ready; one without an address, or of blue, is left out."""
    blue = objects.replica_set(ROLLOUT, "blue", replicas=1)
    pods = [pod("a"), pod("b", ready=False), pod("c", terminating=True), pod("d", ip=None)]
    pods.append(objects.pod(blue, "e", ip="10.0.0.9"))

    [found] = objects.endpoint_slices(SERVICE, pods)

    assert [
        (each["targetRef"]["name"], each["conditions"]["ready"], each["conditions"]["serving"])
        for each in found["endpoints"]
    ] == [("a", True, True), ("b", False, False), ("c", False, True)]


def test_family_and_placeholder() -> None:
    """Only addresses of the family count; a Service without any has one slice of nulls."""
    dual = pod("a", other_ips=["2001:db8::4"])

    [six] = objects.endpoint_slices(SERVICE, [dual], family="IPv6")
    [none] = objects.endpoint_slices(SERVICE, [pod("b")], family="IPv6")

    assert [endpoint["addresses"] for endpoint in six["endpoints"]] == [["2001:db8::4"]]
    assert (none["endpoints"], none["ports"]) == (None, None)


@pytest.mark.parametrize(("phase", "reason"), [("Failed", "Evicted"), ("Succeeded", "")])
def test_ended_pods(phase: str, reason: str) -> None:
    """A pod that has ended keeps its owner, has no address, is in no slice, and its ReplicaSet does not count it."""
    ended = objects.end(pod("a"), phase=phase, reason=reason)
    pods = [ended, pod("b"), pod("c", terminating=True)]
    with_address = ended | {"status": ended["status"] | {"podIPs": [{"ip": "10.0.0.4"}]}}

    [found] = objects.endpoint_slices(SERVICE, [*pods, with_address])

    assert [each["targetRef"]["name"] for each in found["endpoints"]] == ["b", "c"]
    assert [objects.is_active(each) for each in pods] == [False, True, False]
    assert (ended["status"]["phase"], ended["status"].get("reason", "")) == (phase, reason)
    assert (ended["metadata"], "podIP" in ended["status"]) == (pod("a")["metadata"], False)
