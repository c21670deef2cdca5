"""Findings that only a cluster shows: target groups as AWS describes them, and the gates of pods."""

import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from provider.advice.preflight import inspect
from provider.advice.preflight.manifests import Manifests, Seen
from provider.advice.preflight.pods import LABEL, WEBHOOK
from provider.model.records import HASH_LABEL, Binding, GroupHealth, HealthCheck, PodState, Target
from tests.advice.preflight.test_findings import ARN, objects_of
from tests.records import GREEN_GROUP, NOW

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


def webhooks(**changes):
    """The controller's webhook as its Helm chart installs it."""
    selector = {"matchExpressions": [{"key": LABEL, "operator": "In", "values": ["enabled"]}]}
    hook = {"name": WEBHOOK, "namespaceSelector": selector, "objectSelector": {}, "failurePolicy": "Fail"} | changes
    return {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "aws"}, "webhooks": [hook]}


def pod(number, *gates):
    return PodState(f"web-{number}", {}, "", gates=tuple((GATE + gate, True) for gate in gates), created_at=CREATED)


def health(group, *targets):
    bound = Binding(group.name, f"web-{group.name}", 80, group.arn, "", "ipv4", "")
    return GroupHealth(group, bound, targets, NOW, NOW)


def found_in(groups=None, pods=(), bindings=None, change=lambda _: None, **seen):
    """The findings about the example `blue-green` in a cluster with these target groups, pods and bindings."""
    objects = copy.deepcopy(objects_of("blue-green"))
    objects["Rollout", "web"]["status"] = {"stableRS": "abc"}
    objects["Service", "web-active"]["spec"]["selector"][HASH_LABEL] = "abc"
    objects["MutatingWebhookConfiguration", "aws-load-balancer-webhook"] = webhooks()
    for one in bindings or [binding("a", "web-active"), binding("p", "web-preview")]:
        objects["TargetGroupBinding", one["metadata"]["name"]] = one
    change(objects)
    clustered = {
        (kind, "" if kind in {"Namespace", "MutatingWebhookConfiguration"} else "shop", name): one
        for (kind, name), one in objects.items()
    }
    known = groups or {"web-active": (ACTIVE,), "web-preview": (PREVIEW,)}
    described = tuple(health(one) for several in known.values() for one in several)
    told = Seen(**({"health": described, "pods": tuple(pods)} | seen))
    [report] = inspect(Manifests(clustered, is_live=True, seen=told))
    return {one.code: one.says for one in report.findings}


def test_a_clean_cluster_has_the_known_gap_only():
    """Groups that are checked alike, and pods with the gates of their bindings, are no findings."""
    assert found_in(pods=[pod(1, "p"), pod(2, "p")]).keys() == {"SwitchHasGap"}


def test_a_group_in_no_rule():
    """A target group that no listener rule forwards to is named with its Service."""
    found = found_in({"web-active": (ACTIVE,), "web-preview": (replace(PREVIEW, load_balancer_arns=()),)})

    assert found["TargetGroupNotInUse"] == ("No listener rule forwards to target group preview of Service web-preview")


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

    assert says in found["HealthChecksDiffer"]


@pytest.mark.parametrize(
    ("made", "why"),
    [("2026-11-27T13:00:00Z", "it is younger than they are"), ("2026-11-27T10:00:00Z", "its Service did not select")],
)
def test_pods_without_a_gate(made, why):
    """Pods that lack the gate of the preview binding are counted, with the likely cause."""
    bindings = [binding("a", "web-active"), binding("p", "web-preview"), binding("q", "web-preview", made)]
    found = found_in(pods=[pod(1, "p"), pod(2, "p", "q"), pod(3, "p")], bindings=bindings)

    assert found["PodsWithoutGate"].startswith("2 of 3 pods have no readiness gate of TargetGroupBinding q: ")
    assert why in found["PodsWithoutGate"]


def test_a_gate_of_a_binding_that_is_gone():
    """A gate whose binding does not exist is named."""
    found = found_in(pods=[pod(1, "p", "former")])

    assert found["GateOfNoBinding"] == (
        "Pods have the readiness gate of TargetGroupBinding former, which does not exist"
    )


def test_the_real_interval_counts():
    """The forecast of the gap uses the interval and the target type that AWS has, not the annotation's."""
    slow = replace(ACTIVE, health_check_interval_seconds=60)
    nodes = replace(ACTIVE, target_type="instance")
    alike = replace(PREVIEW, health_check_interval_seconds=60)

    assert "about 9.8 s" in found_in({"web-active": (slow,), "web-preview": (alike,)})["SwitchHasGap"]
    assert "SwitchHasGap" not in found_in({"web-active": (nodes,), "web-preview": (PREVIEW,)})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "other"}, f"no MutatingWebhookConfiguration has the controller's webhook {WEBHOOK}"),
        ({"failurePolicy": "Ignore"}, f"webhook did not answer (failurePolicy of {WEBHOOK} is Ignore)"),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, f"{WEBHOOK} does not select namespace shop"),
        (
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"]}
                    ]
                }
            },
            f"{WEBHOOK} does not select namespace shop",
        ),
        (
            {"objectSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}},
            "does not select the Rollout's pods",
        ),
        ({"objectSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, "does not select the Rollout"),
    ],
)
def test_why_no_pod_has_a_gate(changes, why):
    """With the label, pods without any gate are a finding too, and the webhook's own settings explain it."""

    def change(objects):
        objects["MutatingWebhookConfiguration", "aws-load-balancer-webhook"] = webhooks(**changes)

    found = found_in(pods=[pod(1), pod(2)], change=change)

    assert found["PodsWithoutGate"].startswith("2 of 2 pods have no readiness gate of TargetGroupBinding p: ")
    assert why in found["PodsWithoutGate"]


def test_nodes_have_no_gates():
    """A binding of instance targets gives no gate, which is the reason then."""
    by_node = binding("p", "web-preview")
    by_node["spec"]["targetType"] = "instance"

    assert "only ip targets have gates" in found_in(pods=[pod(1)], bindings=[by_node])["PodsWithoutGate"]


def test_a_target_group_that_is_gone():
    """A binding whose target group AWS does not know is named with AWS's sentence."""
    found = found_in(gone={"p": "AWS knows no target group preview"})

    assert found["TargetGroupGone"] == "TargetGroupBinding p: AWS knows no target group preview"


def test_targets_outside_the_zones_of_the_load_balancer():
    """Unused targets of a group in use are counted; those of a group in no rule have their own finding."""
    outside = Target("10.0.0.1", 80, "unused", "Target.NotInUse")
    preview = health(PREVIEW, outside, Target("10.0.0.2", 80, "healthy"))
    idle = health(replace(PREVIEW, load_balancer_arns=()), outside)

    assert found_in(health=(preview,))["ZoneNotEnabled"] == (
        "1 of 2 targets of preview are in no zone of its load balancer"
    )
    assert "ZoneNotEnabled" not in found_in(health=(idle,))


def test_a_blue_that_is_sick_now():
    """Unhealthy targets of production are counted: blue could not take the traffic back."""
    targets = (Target("10.0.0.1", 80, "unhealthy"), Target("10.0.0.2", 80, "healthy"))
    found = found_in(health=(health(ACTIVE, *targets),))

    assert found["BlueCannotReturn"] == "1 of 2 targets that serve production are unhealthy now"


def test_the_attributes_of_the_groups_themselves():
    """What AWS says of a target group counts, whatever the annotations say."""
    known = {ACTIVE.arn: {"stickiness.enabled": "true", "deregistration_delay.timeout_seconds": "3600"}}
    found = found_in(attributes=known)

    assert found["Stickiness"] == "stickiness.enabled is true"
    assert "deregistration delay is 3600 s" in found["BlueGoneTooEarly"]


def test_a_right_that_is_missing():
    """Each missing right is a finding of its own sentence."""
    denied = ("The provider may not list pods in namespace shop",)

    assert found_in(denied=denied)["PermissionMissing"] == denied[0]


def test_a_first_deploy():
    """Without a promoted version Argo asks nobody; with one, the active Service must select a version."""
    first = found_in(change=lambda it: it["Rollout", "web"].pop("status"))
    loose = found_in(change=lambda it: it["Service", "web-active"]["spec"]["selector"].pop(HASH_LABEL))

    assert "FirstDeploy" in first
    assert "ActiveWithoutHash" not in first
    assert "FirstDeploy" not in loose
    assert loose["ActiveWithoutHash"].startswith("activeService web-active selects no rollouts-pod-template-hash")
