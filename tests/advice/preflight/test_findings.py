"""Each finding: an example with the smallest change that triggers it, and the example itself without it."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from provider.advice.preflight import inspect
from provider.advice.preflight.findings import RULES, Severity
from provider.advice.preflight.load_balancer import ROUTING
from provider.advice.preflight.manifests import NotManifests, parse
from tests.examples import NAMES, built

ARN = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/web/0123456789abcdef"


def objects_of(example):
    """The objects of an example, by kind and name, for a test to change."""
    return {(one["kind"], one["metadata"]["name"]): one for one in built(example)}


def found_in(objects):
    """The findings of the only Rollout among these objects."""
    [report] = inspect(parse(yaml.safe_dump_all(objects.values())))
    return report.findings


def codes_in(objects):
    return {one.code for one in found_in(objects)}


class Change:
    """What a case does to an example's objects."""

    def __init__(self, objects):
        self.objects = objects
        self.rollout = objects["Rollout", "web"]
        self.spec = self.rollout["spec"]
        self.blue_green = self.spec["strategy"].get("blueGreen", {})
        self.pod = self.spec["template"]["spec"]

    def __getitem__(self, key):
        return self.objects[key]

    @property
    def gate(self):
        return self.objects["AnalysisTemplate", "alb-gate"]

    @property
    def metric(self):
        return self.gate["spec"]["metrics"][0]

    @property
    def web(self):
        return self.metric["provider"]["web"]

    @property
    def arguments(self):
        return self.blue_green["prePromotionAnalysis"]["args"]

    @property
    def annotations(self):
        return self.objects["Ingress", "web"]["metadata"]["annotations"]

    def service(self, name):
        return self.objects["Service", name]

    def add(self, one):
        self.objects[one["kind"], one["metadata"]["name"]] = one

    def binding(self, name, service, port=80):
        spec = {"serviceRef": {"name": service, "port": port}, "targetGroupARN": ARN, "targetType": "ip"}
        metadata = {"name": name, "namespace": "shop"}
        self.add(
            {"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": metadata, "spec": spec}
        )


ALB = "alb.ingress.kubernetes.io/"


def second_template(change, **spec):
    """Add another template to the analysis before the switch."""
    other = copy.deepcopy(change.gate)
    other["metadata"]["name"] = "other"
    other["spec"] |= spec
    change.add(other)
    change.blue_green["prePromotionAnalysis"]["templates"].append({"templateName": "other"})
    return other


def renamed(change):
    """What kustomize's namePrefix does without a nameReference."""
    change.rollout["metadata"]["name"] = "team-web"
    for name in ("web-active", "web-preview"):
        service = change.objects.pop(("Service", name))
        service["metadata"]["name"] = f"team-{name}"
        change.add(service)


def cluster_template(change, url_end):
    """Make the gate a ClusterAnalysisTemplate with this at the end of its URL."""
    gate = change.objects.pop(("AnalysisTemplate", "alb-gate"))
    gate["kind"] = "ClusterAnalysisTemplate"
    gate["metadata"].pop("namespace")
    gate["spec"]["args"].append({"name": "percent", "value": "100"})
    gate["spec"]["metrics"][0]["provider"]["web"]["url"] += url_end
    change.add(gate)
    change.blue_green["prePromotionAnalysis"]["templates"] = [{"templateName": "alb-gate", "clusterScope": True}]


def many_groups(number):
    groups = [{"serviceName": f"web-{one}", "servicePort": "80", "weight": 1} for one in range(number)]
    return json.dumps({"type": "forward", "forwardConfig": {"targetGroups": groups}})


def without_pass(change):
    change.metric.pop("consecutiveSuccessLimit")


def second_port(change):
    """Give both Services a second port, and production a rule for it."""
    for name in ("web-active", "web-preview"):
        change.service(name)["spec"]["ports"].append({"name": "tls", "port": 443, "targetPort": 8443})
    rules = change["Ingress", "web"]["spec"]["rules"]
    rules.append(copy.deepcopy(rules[0]))
    rules[-1]["http"]["paths"][0]["backend"]["service"]["port"] = {"number": 443}


def autoscaled(change):
    """Add an autoscaler of the Rollout."""
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 6, "maxReplicas": 20}
    metadata = {"name": "web", "namespace": "shop"}
    change.add({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec})


def canary(change, steps, **fields):
    """Make the Rollout a canary with these steps, in which `gate` is the analysis of the example."""
    gate = change.blue_green["prePromotionAnalysis"]
    steps = [{"analysis": gate} if step == "gate" else step for step in steps]
    alb = {"alb": {"ingress": "web", "rootService": "web-root", "servicePort": 80}}
    pair = {"pingPong": {"pingService": "web-preview", "pongService": "web-active"}}
    change.spec["strategy"] = {"canary": {**pair, "trafficRouting": alb, "steps": steps, **fields}}


def beside(change):
    """Put another Service of the same pods behind the load balancer."""
    service = copy.deepcopy(change.service("web-active"))
    service["metadata"]["name"] = "web-internal"
    change.add(service)
    rules = change["Ingress", "web"]["spec"]["rules"]
    rules.append(copy.deepcopy(rules[0]))
    rules[-1]["host"] = "internal.example.com"
    rules[-1]["http"]["paths"][0]["backend"]["service"]["name"] = "web-internal"


CASES = {
    "ManifestInvalid": lambda it: it.metric.update(interval=10),
    "ApiVersionUnknown": lambda it: it.rollout.update(apiVersion="argoproj.io/v1"),
    "StrategyInvalid": lambda it: it.blue_green.update(previewService="web-active"),
    "IngressRuleMissing": lambda it: canary(it, ["gate"]),
    "NoPodsAtGate": lambda it: canary(it, [{"setWeight": 0}, "gate"]),
    "WeightBeforeGate": lambda it: canary(it, [{"setWeight": 5}, "gate"]),
    "ScaleOutUnchecked": autoscaled,
    "ConditionNeverTrue": lambda it: it.metric.update(successCondition='result[1] == "successful"'),
    "MetricInvalid": lambda it: it.metric.pop("interval"),
    "NoFailureCondition": lambda it: it.metric.pop("failureCondition"),
    "WaitsTooShort": lambda it: it.metric.pop("inconclusiveLimit"),
    "TimeoutTooShort": lambda it: it.web.update(timeoutSeconds=2),
    "ArgumentEmpty": lambda it: it.arguments[0].pop("valueFrom"),
    "AsksAboutAnother": lambda it: it.arguments[1].update(valueFrom=None, value="another"),
    "AsksAboutBlue": lambda it: it.arguments[2].update(valueFrom={"podTemplateHashValue": "Stable"}),
    "StageDoesNotFit": lambda it: it.web.update(url=it.web["url"].replace("beforeSwitch", "afterSwitch")),
    "EndpointUnknown": lambda it: it.web.update(url=it.web["url"].replace("/v1/gate", "/v1/gates")),
    "PreviewBeforeProduction": lambda it: (
        it["Ingress", "web"]["spec"]["rules"].reverse()
        or it["Ingress", "web"]["spec"]["rules"][0].update(host=it["Ingress", "web"]["spec"]["rules"][1]["host"])
    ),
    "GreenReachedBeside": beside,
    "TemplateMissing": lambda it: it.objects.pop(("AnalysisTemplate", "alb-gate")),
    "ServiceMissing": lambda it: it.blue_green.update(previewService="nothing"),
    "NamePrefixLeftBehind": renamed,
    "ArgumentMissing": lambda it: it.arguments.pop(),
    "ArgumentUnknown": lambda it: it.arguments.append({"name": "pod-template-hsah", "value": "x"}),
    "ConditionInvalid": lambda it: it.metric.update(successCondition='result[1] = "Successful"'),
    "JsonPathInvalid": lambda it: it.web.update(jsonPath="$.measurement"),
    "JsonPathFilters": lambda it: it.web.update(jsonPath="{$.measurement[?(@>90)]}"),
    "FieldUnknown": lambda it: it.metric.update(failurelimit=1),
    "MetricNamedTwice": second_template,
    "DefaultsContradict": lambda it: (
        it.gate["spec"]["args"].append({"name": "a", "value": "1"}),
        second_template(it, args=[*it.gate["spec"]["args"][:3], {"name": "a", "value": "2"}]),
    ),
    "ArgumentInDryRun": lambda it: it.gate["spec"].update(dryRun=[{"metricName": "{{args.namespace}}"}]),
    "MetricEndless": lambda it: it.metric.pop("count"),
    "LimitIsNoNumber": lambda it: it.metric.update(count="50.0"),
    "SameNameTwice": lambda it: it.add(
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterAnalysisTemplate", "metadata": {"name": "alb-gate"}}
    ),
    "SucceedsWithoutPass": without_pass,
    "WaitsTooLong": lambda it: it.spec.pop("progressDeadlineSeconds"),
    "ToleratesNoRestart": lambda it: it.metric.pop("consecutiveErrorLimit"),
    "QueryRefused": lambda it: it.web.update(url=it.web["url"] + "&minHealthyPercent=0"),
    "ArgumentBreaksUrl": lambda it: it.arguments[0].update(valueFrom=None, value="shop prod"),
    "ArgumentLoosensGate": lambda it: cluster_template(it, "&minHealthyPercent={{args.percent}}"),
    "NumberByFieldRef": lambda it: it.arguments[1].update(
        valueFrom={"fieldRef": {"fieldPath": "spec.progressDeadlineSeconds"}}
    ),
    "SecretArgumentOverridden": lambda it: it.gate["spec"]["args"][0].update(
        valueFrom={"secretKeyRef": {"name": "a", "key": "b"}}
    ),
    "HashNotPassed": lambda it: it.web.update(
        url=it.web["url"].replace("&podTemplateHash={{args.pod-template-hash}}", "")
    ),
    "StageNotPassed": lambda it: it.web.update(url=it.web["url"].replace("&stage=beforeSwitch", "")),
    "ProxyMayAnswer": lambda it: it.web.pop("insecure"),
    "NoGate": lambda it: it.blue_green.pop("prePromotionAnalysis"),
    "RetrySkipsGate": lambda it: it.blue_green.pop("abortScaleDownDelaySeconds"),
    "RollbackWindow": lambda it: it.spec.update(rollbackWindow={"revisions": 3}),
    "PreviewReplicaCount": lambda it: it.blue_green.update(previewReplicaCount=1),
    "StaleVerdict": lambda it: it.blue_green.update(autoPromotionEnabled=False),
    "NoPreviewService": lambda it: it.blue_green.pop("previewService"),
    "NotBehindLoadBalancer": lambda it: it["Ingress", "web"]["spec"]["rules"].pop(),
    "SelectsNothing": lambda it: it.service("web-preview")["spec"]["selector"].update(team="shop"),
    "PortMissing": lambda it: it.service("web-preview")["spec"]["ports"][0].update(targetPort="web"),
    "PortNotChecked": second_port,
    "TargetTypeUnset": lambda it: it.annotations.pop(f"{ALB}target-type"),
    "HealthChecksDiffer": lambda it: it.service("web-preview")["metadata"].update(
        annotations={f"{ALB}healthcheck-path": "/other"}
    ),
    "ProbeDiffers": lambda it: it.annotations.update({f"{ALB}healthcheck-path": "/"}),
    "BindingShared": lambda it: (it.binding("a", "web-active"), it.binding("b", "web-preview")),
    "TooManyTargets": lambda it: it.spec.update(replicas=1200),
    "SlowStart": lambda it: it.annotations.update(
        {f"{ALB}target-group-attributes": "slow_start.duration_seconds=60,deregistration_delay.timeout_seconds=30"}
    ),
    "Stickiness": lambda it: it.annotations.update(
        {f"{ALB}target-group-attributes": "stickiness.enabled=true,deregistration_delay.timeout_seconds=30"}
    ),
    "ReadinessGateMissing": lambda it: it["Namespace", "shop"]["metadata"].pop("labels"),
    "ReadinessGateHangs": lambda it: it.spec.pop("progressDeadlineAbort"),
    "NoPreStop": lambda it: it.pod["containers"][0].pop("lifecycle"),
    "KilledTooEarly": lambda it: it.pod.update(terminationGracePeriodSeconds=30),
    "BlueGoneTooEarly": lambda it: (
        it.blue_green.update(scaleDownDelaySeconds=10),
        it.annotations.pop(f"{ALB}target-group-attributes"),
    ),
    "FailsOverEarly": lambda it: it.annotations.update(
        {f"{ALB}target-group-attributes": f"{ROUTING}.percentage=50,deregistration_delay.timeout_seconds=30"}
    ),
    "TooManyGroups": lambda it: it.annotations.update({f"{ALB}actions.many": many_groups(6)}),
    "BlueCannotReturn": lambda it: it.blue_green.update(scaleDownDelayRevisionLimit=0),
    "NoWayBack": lambda it: it.spec.update(revisionHistoryLimit=0),
}
"""Each changes the example `blue-green`, which has only its known gap."""


SEEN_IN_A_CLUSTER = {
    "TargetGroupNotInUse",
    "PodsWithoutGate",
    "GateOfNoBinding",
    "TargetGroupGone",
    "ZoneNotEnabled",
    "FirstDeploy",
    "ActiveWithoutHash",
    "PermissionMissing",
    "WorkloadMissing",
}
"""Their cases are in test_described.py and test_live.py."""


def test_every_code_has_a_case():
    """Every code is triggered by a case; that of the gap is the example's own."""
    assert (
        CASES.keys()
        == RULES.keys() - {"SwitchHasGap", "TargetGroupRenamed", "LoadBalancerReplaced"} - SEEN_IN_A_CLUSTER
    )


@pytest.mark.parametrize("code", CASES, ids=str)
def test_the_smallest_change_is_found(code):
    """The change is found under its code, in a sentence with what to change, and the example has no such finding."""
    objects = objects_of("blue-green")
    before = codes_in(objects)
    CASES[code](Change(objects))

    own = [one for one in found_in(objects) if one.code == code]

    assert code not in before
    assert own
    assert all(one.says and not one.says.endswith(".") and one.todo.endswith(".") for one in own)


def routed(change, **backend):
    """Make the Rollout ping-pong, with production's rule leading to this backend."""
    canary(change, [{"setCanaryScale": {"weight": 100}}, "gate"])
    change.service("web-active")["metadata"]["name"] = "web-root"
    change.add(copy.deepcopy(change.service("web-active")))
    change.service("web-active")["metadata"]["name"] = "web-active"
    change["Ingress", "web"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"] = backend


USED = {"name": "web-root", "port": {"name": "use-annotation"}}


@pytest.mark.parametrize(
    ("mistake", "code", "severity"),
    [
        (lambda it: it.arguments[0].update(valueFrom=None, value="another"), "AsksAboutAnother", "blocks"),
        (lambda it: it.metric.update(successCondition='result.phase == "Successful"'), "ConditionNeverTrue", "blocks"),
        (lambda it: routed(it, **USED), "", ""),
        (lambda it: routed(it, name="web-root", port={"number": 80}), "IngressRuleMissing", "blocks"),
        (lambda it: routed(it, name="web-active", port=USED["port"]), "IngressRuleMissing", "blocks"),
        (lambda it: routed(it, **USED) or it.objects.pop(("Ingress", "web")), "IngressRuleMissing", "risk"),
        (
            lambda it: (
                routed(it, **USED),
                it.spec["strategy"]["canary"]["trafficRouting"]["alb"].update(ingresses=["web", "intern"]),
            ),
            "IngressRuleMissing",
            "risk",
        ),
        (
            lambda it: it["Namespace", "shop"]["metadata"].update(
                labels={"eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}
            ),
            "",
            "",
        ),
        (lambda it: autoscaled(it) or it.blue_green.update(previewReplicaCount=6), "PreviewReplicaCount", ""),
        (
            lambda it: autoscaled(it) or it.spec.update(replicas=1) or it.blue_green.update(previewReplicaCount=2),
            "PreviewReplicaCount",
            "risk",
        ),
    ],
)
def test_what_a_new_user_gets_wrong(mistake, code, severity):
    """A typical mistake is found with its severity, and what only looks like one is not."""
    objects = objects_of("blue-green")
    mistake(Change(objects))

    severities = {one.code: one.severity for one in found_in(objects)}

    if severity:
        assert severities[code] == severity
    else:
        assert not severities.keys() & ({code} if code else {"IngressRuleMissing", "ReadinessGateMissing"})


KNOWN = {
    "batches": set(),
    "blue-green": {"SwitchHasGap"},
    "blue-green-without-gap": set(),
    "canary-without-gap": set(),
    "instance-mode": set(),
    "job": {"SwitchHasGap"},
    "ping-pong": set(),
    "warm-up": {"SwitchHasGap"},
    "with-token": set(),
    "with-two-tokens": set(),
}


@pytest.mark.parametrize("example", KNOWN)
def test_the_examples_have_only_their_known_gap(example):
    """No example has a finding, but for the gap of blue-green with ip targets, which its README names too."""
    assert codes_in(objects_of(example)) == KNOWN[example]


def test_every_example_with_a_rollout_is_inspected():
    """A new example is inspected too."""
    assert set(NAMES) == KNOWN.keys()


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({"count": 5, "failureLimit": 1, "inconclusiveLimit": 3, "consecutiveSuccessLimit": 0}, False),
        ({"count": 5, "failureLimit": 2, "inconclusiveLimit": 3, "consecutiveSuccessLimit": 0}, True),
        ({"count": 60, "failureLimit": 0, "inconclusiveLimit": 60, "consecutiveSuccessLimit": 0}, True),
        ({"count": 60, "failureLimit": 0, "inconclusiveLimit": 60, "consecutiveSuccessLimit": 1}, False),
        ({"count": "5", "inconclusiveLimit": "5", "consecutiveSuccessLimit": 0}, True),
        ({"successCondition": None}, True),
        ({"count": "{{args.namespace}}"}, False),
    ],
)
def test_whether_a_pass_is_needed(changes, is_found):
    """Without consecutive passes no pass is needed once failureLimit + inconclusiveLimit reach count."""
    objects = objects_of("blue-green")
    Change(objects).metric.update(changes)

    assert ("SucceedsWithoutPass" in codes_in(objects)) == is_found


@pytest.mark.parametrize(("limit", "is_found"), [(8, True), (9, False)])
def test_waits_after_the_switch(limit, is_found):
    """After the switch a finished minute takes 180 s at least, and the limits must wait for as long."""
    objects = objects_of("blue-green")
    change = Change(objects)
    change.blue_green["postPromotionAnalysis"] = copy.deepcopy(change.blue_green["prePromotionAnalysis"])
    change.metric.update(interval="20s", inconclusiveLimit=limit)
    change.web["url"] = change.web["url"].replace("&stage=beforeSwitch", "").replace("checks=", "checks=errors,")

    assert ("WaitsTooShort" in codes_in(objects)) == is_found


def test_what_argo_takes_does_not_block():
    """A port that no container names hurts only behind a load balancer, and an older API has rules of its own."""
    objects = objects_of("blue-green")
    change = Change(objects)
    change.service("web-preview")["spec"]["ports"][0]["targetPort"] = "web"
    ingress = change["Ingress", "web"]
    ingress["apiVersion"] = "extensions/v1beta1"
    ingress["spec"]["rules"][0]["http"]["paths"][0].pop("pathType")
    old = {(one.code, one.severity) for one in found_in(objects)}
    del objects["Ingress", "web"]
    without = {(one.code, one.severity) for one in found_in(objects)}

    assert ("ApiVersionUnknown", Severity.RISK) in old
    assert ("PortMissing", Severity.BLOCKS) in old
    assert "ManifestInvalid" not in {code for code, _ in old}
    assert without == {("PortMissing", Severity.RISK)}


def test_services_beside_a_pair():
    """Argo looks for the Services of a mesh beside a ping-pong pair too."""
    objects = objects_of("ping-pong")
    Change(objects).spec["strategy"]["canary"]["stableService"] = "web-mesh"

    assert [one.says for one in found_in(objects)] == [
        "stableService names Service web-mesh, and there is none among the manifests"
    ]


def test_dry_runs_of_everything():
    """An analysis whose every metric is a dry run always succeeds."""
    objects = objects_of("blue-green")
    Change(objects).gate["spec"]["dryRun"] = [{"metricName": "alb.*"}]

    assert "SucceedsWithoutPass" in codes_in(objects)


@pytest.mark.parametrize(
    ("condition", "compiles"),
    [
        ('result[1] == "Successful"', True),
        ("result[0] >= 99.5 && result[1] != 'Failed'", True),
        ("all(result, # > 1) or (result?.x ?? 0) in 1..3", True),
        ("asInt(result) < 5 ? true : false", True),
        ('not (result[1] matches "^S")', True),
        ("", False),
        ('result[1] = "Successful"', False),
        ('result[1] == "Successful', False),
        ('(result[1] == "Successful"', False),
        ('result[1]) == "Successful"', False),
        ('result[1] "Successful"', False),
        ("result[1] ==", False),
        ("result is healthy", False),
    ],
)
def test_conditions_that_cannot_compile(condition, compiles):
    """What people mistype is found, and what Argo's own documentation writes is not."""
    objects = objects_of("blue-green")
    Change(objects).metric["successCondition"] = condition

    is_found = {"ConditionInvalid", "SucceedsWithoutPass"} & codes_in(objects)

    assert bool(is_found) != compiles


def test_files_are_not_all_there_is():
    """What is missing among files may exist in the cluster: a risk; what kustomize left behind cannot be meant."""
    objects = objects_of("blue-green")
    change = Change(objects)
    change.blue_green["previewService"] = "elsewhere"
    [missing] = [one for one in found_in(objects) if one.code == "ServiceMissing"]
    renamed(Change(other := objects_of("blue-green")))
    left = [one for one in found_in(other) if one.code == "NamePrefixLeftBehind"]

    assert (missing.severity, missing.says) == (
        Severity.RISK,
        "previewService names Service elsewhere, and there is none among the manifests",
    )
    assert {one.severity for one in left} == {Severity.BLOCKS}
    assert "there is a Service team-web-active" in left[0].says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML (line"),
        ("a: &a [*a]", "a value that is not valid"),
        ("a: " + "[" * 5000, "shop.yaml"),
        ("{a: 1}: 2", "not YAML"),
    ],
)
def test_what_is_not_yaml(text, says):
    """Input that is not YAML is refused in a sentence that names the file."""
    with pytest.raises(NotManifests) as refused:
        parse(text, file="shop.yaml")

    assert says in str(refused.value)
    assert str(refused.value).startswith("shop.yaml")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words", "image: {tag: '1'}", "kind: 3"])
def test_what_is_not_a_kubernetes_object(text):
    """A document that is not a Kubernetes object is skipped and named."""
    assert parse(text, file="values.yaml").skipped == ("values.yaml:1 is not a Kubernetes object and was skipped",)


def test_lists_and_json_are_read():
    """The output of `kubectl get -o json` is a List, and JSON."""
    objects = list(objects_of("ping-pong").values())
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": objects}, default_flow_style=True)

    [report] = inspect(parse(listed))

    assert report.findings == ()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda it: it.annotations.update({f"{ALB}target-type": "instance"}), "target type from ip to instance"),
        (lambda it: it.annotations.update({f"{ALB}backend-protocol": "HTTPS"}), "backend-protocol from HTTP to HTTPS"),
        (lambda it: it.annotations.update({f"{ALB}group.name": "all"}), "group.name from none to all"),
        (
            lambda it: it.service("web-preview")["spec"]["ports"][0].update(targetPort=9090),
            "target port from a name to 9090",
        ),
        (lambda it: it.annotations.update({f"{ALB}healthcheck-path": "/x"}), ""),
        (lambda it: it.spec.update(replicas=50), ""),
    ],
)
def test_edits_that_rename_a_target_group(edit, says):
    """What the controller's hash covers gives a Service a new target group; other edits keep it."""
    objects = objects_of("blue-green")
    before = parse(yaml.safe_dump_all(objects.values()))
    edit(Change(objects))
    [report] = inspect(replace(parse(yaml.safe_dump_all(objects.values())), before=before))

    told = [one.says for one in report.findings if one.code == "TargetGroupRenamed"]

    assert bool(told) == bool(says)
    assert all(says in one for one in told)
    assert "TargetGroupRenamed" not in codes_in(objects)


@pytest.mark.parametrize(
    ("example", "changes"),
    [
        ("blue-green", {"scaleDownDelaySeconds": 0}),
        ("blue-green", {"scaleDownDelayRevisionLimit": 0}),
        ("ping-pong", {"dynamicStableScale": True}),
    ],
)
def test_a_blue_that_could_not_return(example, changes):
    """Settings that take blue's pods away before the watch is over are a risk."""
    objects = objects_of(example)
    strategy = objects["Rollout", "web"]["spec"]["strategy"]
    strategy.get("blueGreen", strategy.get("canary")).update(changes)

    assert "BlueCannotReturn" in codes_in(objects)


def test_a_binding_without_a_target_type():
    """A binding that does not say its target type is named."""
    objects = objects_of("blue-green")
    change = Change(objects)
    change.binding("p", "web-preview")
    change["TargetGroupBinding", "p"]["spec"].pop("targetType")

    assert [one.objects for one in found_in(objects) if one.code == "TargetTypeUnset"] == [("TargetGroupBinding/p",)]


@pytest.mark.parametrize(
    ("mistyped", "path"),
    [
        (lambda it: it.metric.update(failurelimit=1), "spec.metrics[0].failurelimit"),
        (lambda it: it.web.update(jsonpath="{$}"), "spec.metrics[0].provider.web.jsonpath"),
        (lambda it: it.web.update(headers=[{"name": "a"}]), "spec.metrics[0].provider.web.headers[0].name"),
        (
            lambda it: it.gate["spec"]["args"].append({"name": "a", "valueFrom": {"secretRef": {}}}),
            "spec.args[3].valueFrom.secretRef",
        ),
    ],
)
def test_fields_that_argo_does_not_know(mistyped, path):
    """A mistyped field is found at any depth, and named with its path."""
    objects = objects_of("blue-green")
    mistyped(Change(objects))

    assert [one.says for one in found_in(objects) if one.code == "FieldUnknown"] == [f"alb-gate has the field {path}"]


@pytest.mark.parametrize("path", sorted(Path(__file__).with_name("public").glob("*.yaml")), ids=lambda path: path.stem)
def test_manifests_that_people_publish(path):
    """Manifests modelled on public ones have the findings of their first line, and none that blocks."""
    text = path.read_text(encoding="utf-8")
    [report] = inspect(parse(text))

    assert {finding.code for finding in report.findings} == set(text.partition("\n")[0].split()[1:])
    assert not report.has(Severity.BLOCKS)
