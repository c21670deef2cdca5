"""Findings that only a cluster shows: target groups as AWS describes them, and the gates of pods."""

import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from provider.evidence.records import HealthCheck, PodState
from provider.preflight.findings import Code
from provider.preflight.inspection import inspect
from provider.preflight.manifests import Manifests
from tests.preflight.test_findings import ARN, objects_of
from tests.records import GREEN_GROUP

CHECK = HealthCheck("HTTP", "traffic-port", "/healthz", "200", 5, 2)
ACTIVE = replace(GREEN_GROUP, name="active", health_check=CHECK)
PREVIEW = replace(GREEN_GROUP, name="preview", arn=f"{ARN}0", health_check=CHECK)
CREATED = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
GATE = "target-health.elbv2.k8s.aws/"


def binding(name, service, made="2026-11-27T10:00:00Z"):
    return {
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made},
        "spec": {"serviceRef": {"name": service, "port": 80}, "targetGroupARN": f"{ARN}{name}", "targetType": "ip"},
    }


def pod(number, *gates):
    return PodState(f"web-{number}", {}, "", gates=tuple((GATE + gate, True) for gate in gates), created_at=CREATED)


def found_in(groups=None, pods=(), bindings=None):
    """The findings about the example `blue-green` in a cluster with these target groups, pods and bindings."""
    objects = copy.deepcopy(objects_of("blue-green"))
    for one in bindings or [binding("a", "web-active"), binding("p", "web-preview")]:
        objects["TargetGroupBinding", one["metadata"]["name"]] = one
    clustered = {(kind, "" if kind == "Namespace" else "shop", name): one for (kind, name), one in objects.items()}
    known = groups or {"web-active": (ACTIVE,), "web-preview": (PREVIEW,)}
    [report] = inspect(Manifests(clustered, is_live=True, groups=known, pods=tuple(pods)))
    return {one.code: one.says for one in report.findings}


def test_a_clean_cluster_has_the_known_gap_only():
    """Groups that are checked alike, and pods with the gates of their bindings, are no findings."""
    assert found_in(pods=[pod(1, "p"), pod(2, "p")]).keys() == {Code.SWITCH_HAS_GAP}


def test_a_group_in_no_rule():
    """A target group that no listener rule forwards to is named with its Service."""
    found = found_in({"web-active": (ACTIVE,), "web-preview": (replace(PREVIEW, load_balancer_arns=()),)})

    assert found[Code.TARGET_GROUP_NOT_IN_USE] == (
        "No listener rule forwards to target group preview of Service web-preview"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"health_check": replace(CHECK, path="/")}, "path /healthz and /"),
        ({"health_check": replace(CHECK, codes="200-399")}, "codes 200 and 200-399"),
        ({"health_check_interval_seconds": 30}, "interval 15 and 30"),
        ({"unhealthy_threshold": 5}, "unhealthy threshold 2 and 5"),
    ],
)
def test_groups_that_are_checked_differently(change, says):
    """What differs between the health checks of the two groups is named with both values."""
    found = found_in({"web-active": (ACTIVE,), "web-preview": (replace(PREVIEW, **change),)})

    assert says in found[Code.HEALTH_CHECKS_DIFFER]


@pytest.mark.parametrize(
    ("made", "why"),
    [("2026-11-27T13:00:00Z", "it is younger than they are"), ("2026-11-27T10:00:00Z", "did not select them")],
)
def test_pods_without_a_gate(made, why):
    """Pods that lack the gate of the preview binding are counted, with the likely cause."""
    bindings = [binding("a", "web-active"), binding("p", "web-preview"), binding("q", "web-preview", made)]
    found = found_in(pods=[pod(1, "p"), pod(2, "p", "q"), pod(3, "p")], bindings=bindings)

    assert found[Code.PODS_WITHOUT_GATE].startswith("2 of 3 pods have no readiness gate of TargetGroupBinding q: ")
    assert why in found[Code.PODS_WITHOUT_GATE]


def test_a_gate_of_a_binding_that_is_gone():
    """A gate whose binding does not exist is named."""
    found = found_in(pods=[pod(1, "p", "former")])

    assert found[Code.GATE_OF_NO_BINDING] == (
        "Pods have the readiness gate of TargetGroupBinding former, which does not exist"
    )


def test_the_real_interval_counts():
    """The forecast of the gap uses the interval and the target type that AWS has, not the annotation's."""
    slow = replace(ACTIVE, health_check_interval_seconds=60)
    nodes = replace(ACTIVE, target_type="instance")
    alike = replace(PREVIEW, health_check_interval_seconds=60)

    assert "about 9.8 s" in found_in({"web-active": (slow,), "web-preview": (alike,)})[Code.SWITCH_HAS_GAP]
    assert Code.SWITCH_HAS_GAP not in found_in({"web-active": (nodes,), "web-preview": (PREVIEW,)})
