"""Every finding there can be: its code, how bad it is, what it means, and what to change.

The table is the documentation (docs/preflight.md is made from it). A code is never renamed: people filter by it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    BLOCKS = "blocks"
    """It cannot work: Argo refuses it, never asks, or can succeed without a pass."""

    RISK = "risk"
    """It works, and users may get 5xx, or the gate can be walked around."""

    ADVICE = "advice"
    """It works; a change would make it better."""


class Code(StrEnum):
    """What was found, in one CamelCase word."""

    # What Argo needs, and its own lint does not check.
    TEMPLATE_MISSING = "TemplateMissing"
    SERVICE_MISSING = "ServiceMissing"
    NAME_PREFIX_LEFT_BEHIND = "NamePrefixLeftBehind"
    ARGUMENT_MISSING = "ArgumentMissing"
    ARGUMENT_UNKNOWN = "ArgumentUnknown"
    CONDITION_INVALID = "ConditionInvalid"
    JSON_PATH_INVALID = "JsonPathInvalid"
    JSON_PATH_FILTERS = "JsonPathFilters"
    FIELD_UNKNOWN = "FieldUnknown"
    METRIC_NAMED_TWICE = "MetricNamedTwice"
    DEFAULTS_CONTRADICT = "DefaultsContradict"
    ARGUMENT_IN_DRY_RUN = "ArgumentInDryRun"
    METRIC_ENDLESS = "MetricEndless"
    LIMIT_IS_NO_NUMBER = "LimitIsNoNumber"
    SAME_NAME_TWICE = "SameNameTwice"
    # Whether a pass is needed, and how long it may take.
    SUCCEEDS_WITHOUT_PASS = "SucceedsWithoutPass"  # noqa: S105 - no password
    WAITS_TOO_LONG = "WaitsTooLong"
    TOLERATES_NO_RESTART = "ToleratesNoRestart"
    # What the query asks.
    QUERY_REFUSED = "QueryRefused"
    ARGUMENT_BREAKS_URL = "ArgumentBreaksUrl"
    ARGUMENT_LOOSENS_GATE = "ArgumentLoosensGate"
    NUMBER_BY_FIELD_REF = "NumberByFieldRef"
    SECRET_ARGUMENT_OVERRIDDEN = "SecretArgumentOverridden"  # noqa: S105 - no password
    HASH_NOT_PASSED = "HashNotPassed"
    STAGE_NOT_PASSED = "StageNotPassed"
    PROXY_MAY_ANSWER = "ProxyMayAnswer"
    # Ways around the gate.
    NO_GATE = "NoGate"
    RETRY_SKIPS_GATE = "RetrySkipsGate"
    ROLLBACK_WINDOW = "RollbackWindow"
    PREVIEW_REPLICA_COUNT = "PreviewReplicaCount"
    STALE_VERDICT = "StaleVerdict"
    FIRST_DEPLOY = "FirstDeploy"
    ACTIVE_WITHOUT_HASH = "ActiveWithoutHash"
    # The load balancer.
    NO_PREVIEW_SERVICE = "NoPreviewService"
    NOT_BEHIND_LOAD_BALANCER = "NotBehindLoadBalancer"
    TARGET_GROUP_NOT_IN_USE = "TargetGroupNotInUse"
    SELECTS_NOTHING = "SelectsNothing"
    PORT_MISSING = "PortMissing"
    PORT_NOT_CHECKED = "PortNotChecked"
    TARGET_TYPE_UNSET = "TargetTypeUnset"
    HEALTH_CHECKS_DIFFER = "HealthChecksDiffer"
    PROBE_DIFFERS = "ProbeDiffers"
    SWITCH_HAS_GAP = "SwitchHasGap"
    BINDING_SHARED = "BindingShared"
    TOO_MANY_TARGETS = "TooManyTargets"
    TOO_MANY_GROUPS = "TooManyGroups"
    TARGET_GROUP_GONE = "TargetGroupGone"
    TARGET_GROUP_RENAMED = "TargetGroupRenamed"
    ZONE_NOT_ENABLED = "ZoneNotEnabled"
    FAILS_OVER_EARLY = "FailsOverEarly"
    SLOW_START = "SlowStart"
    STICKINESS = "Stickiness"
    # Pods and times.
    READINESS_GATE_MISSING = "ReadinessGateMissing"
    READINESS_GATE_HANGS = "ReadinessGateHangs"
    PODS_WITHOUT_GATE = "PodsWithoutGate"
    GATE_OF_NO_BINDING = "GateOfNoBinding"
    NO_PRE_STOP = "NoPreStop"
    KILLED_TOO_EARLY = "KilledTooEarly"
    BLUE_GONE_TOO_EARLY = "BlueGoneTooEarly"
    NO_WAY_BACK = "NoWayBack"
    BLUE_CANNOT_RETURN = "BlueCannotReturn"
    # The provider itself.
    PERMISSION_MISSING = "PermissionMissing"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the documentation of a code: its severity, what happens, and what to change."""

    severity: Severity
    meaning: str
    todo: str


def _blocks(meaning: str, todo: str) -> Row:
    return Row(Severity.BLOCKS, meaning, todo)


def _risk(meaning: str, todo: str) -> Row:
    return Row(Severity.RISK, meaning, todo)


def _advice(meaning: str, todo: str) -> Row:
    return Row(Severity.ADVICE, meaning, todo)


ROWS: dict[Code, Row] = {
    Code.TEMPLATE_MISSING: _blocks(
        "An analysis names a template that does not exist: Argo refuses the Rollout (InvalidSpec).",
        "Create it, or correct the name, `clusterScope` or the namespace.",
    ),
    Code.SERVICE_MISSING: _blocks(
        "The strategy names a Service that does not exist: Argo refuses the Rollout (InvalidSpec).",
        "Create it, or correct the name.",
    ),
    Code.NAME_PREFIX_LEFT_BEHIND: _blocks(
        "A reference of the Rollout misses a prefix or suffix that the object of that kind has: kustomize renames the "
        "objects, and not a Rollout's references to them.",
        "Add the nameReference configuration of `rollout-examples/name-references`.",
    ),
    Code.ARGUMENT_MISSING: _blocks(
        "A template declares an argument without a value, and the Rollout passes none: no AnalysisRun is created.",
        "Pass it, or give it a default.",
    ),
    Code.ARGUMENT_UNKNOWN: _advice(
        "The Rollout passes an argument that no template of the analysis declares: Argo drops it.", "Correct its name."
    ),
    Code.CONDITION_INVALID: _blocks(
        "A condition does not compile, so every measurement is an Error, and enough of them abort the Rollout.",
        'Correct it; the examples have `result[1] == "Successful"`.',
    ),
    Code.JSON_PATH_INVALID: _blocks(
        "Without braces, or with a blank before them, `jsonPath` is a text and not a path: the result is that text, "
        "whatever is answered.",
        'Write `jsonPath: "{$.measurement}"`.',
    ),
    Code.JSON_PATH_FILTERS: _blocks(
        "`jsonPath` filters an array of texts and numbers, which is an Error in every measurement.",
        'Write `jsonPath: "{$.measurement}"` and compare in the conditions.',
    ),
    Code.FIELD_UNKNOWN: _blocks(
        "A template has a field that Argo does not know. Depending on the client it is refused, or dropped in silence.",
        "Correct its name or its place.",
    ),
    Code.METRIC_NAMED_TWICE: _blocks(
        "Two metrics of one analysis have the same name: Argo refuses it.", "Rename one of them."
    ),
    Code.DEFAULTS_CONTRADICT: _blocks(
        "Two templates of one analysis give an argument different defaults: Argo refuses it, even if the Rollout "
        "passes "
        "its own.",
        "Give it the same default, or none.",
    ),
    Code.ARGUMENT_IN_DRY_RUN: _blocks(
        "`dryRun` and `measurementRetention` take no arguments: the AnalysisRun ends in Error.", "Write the name."
    ),
    Code.METRIC_ENDLESS: _blocks(
        "A metric with `interval` and without `count` never ends: Argo refuses it but in a canary's background "
        "analysis.",
        "Set `count`.",
    ),
    Code.LIMIT_IS_NO_NUMBER: _blocks(
        'A text that is no whole number is accepted: as `count` (`"5.0"`, `"10%"`) it means endless, as a limit 0.',
        "Write a whole number.",
    ),
    Code.SAME_NAME_TWICE: _advice(
        "A ClusterAnalysisTemplate and an AnalysisTemplate have the same name: `clusterScope` decides which one is "
        "used.",
        "Rename one of them.",
    ),
    Code.SUCCEEDS_WITHOUT_PASS: _blocks(
        "A metric can end Successful without one Successful answer of the provider.",
        "Set both conditions, and `consecutiveSuccessLimit`, or keep failureLimit + inconclusiveLimit below `count`.",
    ),
    Code.WAITS_TOO_LONG: _risk(
        "The analysis may take longer than `progressDeadlineSeconds`, which keeps running: the Rollout is Degraded, or "
        "aborted, while it still waits.",
        "Raise `progressDeadlineSeconds`, or lower `count`.",
    ),
    Code.TOLERATES_NO_RESTART: _risk(
        "So few errors in a row abort the Rollout that a restart of the provider, or of a node, can do it.",
        "Raise `consecutiveErrorLimit`; the examples have 30, about five minutes.",
    ),
    Code.QUERY_REFUSED: _blocks(
        "The provider refuses the query: every measurement is an Error.", "Correct the parameter in the sentence."
    ),
    Code.ARGUMENT_BREAKS_URL: _blocks(
        "An argument with a blank, `&`, `#`, `+` or `%` goes into the URL as it is, and breaks it.",
        "Remove it from the value, or percent-encode it.",
    ),
    Code.ARGUMENT_LOOSENS_GATE: _risk(
        "An argument sets a limit of the query, so whoever writes the Rollout can loosen the gate.",
        "Write the limit into the template, or set floors (`deploy/components/floors`).",
    ),
    Code.NUMBER_BY_FIELD_REF: _risk(
        "A number from a fieldRef becomes an exponent from a million on (1e+06).", "Pass it as `value`."
    ),
    Code.SECRET_ARGUMENT_OVERRIDDEN: _advice(
        "The Rollout passes an argument that the template takes from a Secret: the Secret wins, in silence.",
        "Remove it from the Rollout.",
    ),
    Code.HASH_NOT_PASSED: _risk(
        "Without `podTemplateHash` an answer about another version counts for this one.",
        "Pass `podTemplateHash` from an argument with `podTemplateHashValue: Latest`.",
    ),
    Code.STAGE_NOT_PASSED: _risk(
        "Without `stage` an answer from before the switch may count after it, and the other way round.",
        "Add `stage=beforeSwitch`, in an analysis after the switch `stage=afterSwitch`.",
    ),
    Code.PROXY_MAY_ANSWER: _risk(
        "Argo takes any answer with status 200 that is no JSON for Successful, such as the page of a proxy in its "
        "environment.",
        "On `http://` set `insecure: true`: Argo then uses no proxy for this metric.",
    ),
    Code.NO_GATE: _risk(
        "No analysis before the switch asks this provider, so Argo switches whatever the load balancer says.",
        "Add `prePromotionAnalysis`, or an analysis step before the weight moves, as in the examples.",
    ),
    Code.RETRY_SKIPS_GATE: _risk(
        "Argo Rollouts before 1.10 takes a retry within `abortScaleDownDelaySeconds` (default 30) for a rollback, and "
        "switches to the aborted version without any analysis.",
        "Set `abortScaleDownDelaySeconds: 0`, or use Argo Rollouts 1.10 or newer.",
    ),
    Code.ROLLBACK_WINDOW: _risk(
        "Within `rollbackWindow` an undo switches without any analysis.",
        "Remove it, if a rollback must be checked too.",
    ),
    Code.PREVIEW_REPLICA_COUNT: _risk(
        "The pods beyond `previewReplicaCount` are created after the gate: nothing checks them.",
        "Remove `previewReplicaCount`.",
    ),
    Code.STALE_VERDICT: _risk(
        "With `autoPromotionEnabled: false` a person promotes later than the gate passed: the verdict may be hours "
        "old.",
        "Promote by analysis (`autoPromotionEnabled: true`), and let a person approve the deployment instead.",
    ),
    Code.FIRST_DEPLOY: _advice(
        "Argo runs no analysis for the first version of a Rollout, or the first after it was taken over from a "
        "Deployment: nothing checks it. Seen in a cluster only.",
        "Deploy the first version while nobody depends on it, or behind a rule without users.",
    ),
    Code.ACTIVE_WITHOUT_HASH: _risk(
        "A Service of production selects no pod template hash, so pods of every version get its traffic, whatever the "
        "gate says. Argo writes it into the strategy's Services when it reconciles the Rollout; something removed it "
        "since, or Argo is not running. Into `rootService` Argo writes none. Seen in a cluster only.",
        "Look at the Argo Rollouts controller, and keep `spec.selector` out of what your GitOps tool enforces. Let no "
        "rule lead to `rootService` itself: name it with the port `use-annotation`.",
    ),
    Code.NO_PREVIEW_SERVICE: _blocks(
        "Without `previewService` green is in no target group before the switch: the gate answers NoPreviewService "
        "for ever.",
        "Add a `previewService` behind its own listener rule.",
    ),
    Code.NOT_BEHIND_LOAD_BALANCER: _blocks(
        "No Ingress and no TargetGroupBinding uses this Service: its pods are never health-checked, and the gate "
        "answers "
        "NoBinding for ever.",
        "Add a rule for it; a host that only you know is enough.",
    ),
    Code.TARGET_GROUP_NOT_IN_USE: _blocks(
        "No listener rule forwards to the target group, so the load balancer never health-checks it. Seen in a "
        "cluster only.",
        "Add a rule; weight 0, or a host only you know, is enough.",
    ),
    Code.SELECTS_NOTHING: _blocks(
        "The Service selects a label that the Rollout's pods do not have, as kustomize's `labels` with "
        "`includeSelectors` "
        "leaves it: it has no endpoints, without an error.",
        "Remove the label from the selector, or add it to the pod template.",
    ),
    Code.PORT_MISSING: _blocks(
        "A port that is named does not exist: the target group stays empty.", "Correct the name or the number."
    ),
    Code.PORT_NOT_CHECKED: _risk(
        "Production is behind the load balancer at a port at which green's Service is not: before the switch nothing "
        "checks green there. A pass of the gate names the target groups (`uncheckedTargetGroups`).",
        "Add a rule for that port of green's Service; a host that only you know is enough.",
    ),
    Code.TARGET_TYPE_UNSET: _advice(
        "The Ingress or the TargetGroupBinding does not say its target type: an Ingress's default is `instance`, where "
        "single pods are never judged; a binding takes the target group's.",
        "Set `alb.ingress.kubernetes.io/target-type: ip`, or `spec.targetType` of the binding.",
    ),
    Code.HEALTH_CHECKS_DIFFER: _risk(
        "Preview and production are health-checked in different ways: green can be healthy in one and not in the "
        "other.",
        "Give both Services the same `healthcheck-…` annotations.",
    ),
    Code.PROBE_DIFFERS: _advice(
        "The readiness probe and the load balancer check different paths: a pod can be Ready and unhealthy.",
        "Check the same path in both.",
    ),
    Code.SWITCH_HAS_GAP: _risk(
        "With `ip` targets the switch moves a selector: the controller deregisters blue, then registers green, and "
        "until "
        "the first health check passes no target serves traffic.",
        "Use the ping-pong canary, instance targets, or a handover (docs/handover.md).",
    ),
    Code.BINDING_SHARED: _risk(
        "Several TargetGroupBindings use one target group: without `multiClusterTargetGroup` their controllers "
        "deregister each other's targets.",
        "Give each Service its own target group.",
    ),
    Code.TOO_MANY_TARGETS: _risk(
        "While both versions are in it the production target group would have more than AWS's 1,000 targets (default "
        "quota).",
        "Raise the quota, or use fewer pods.",
    ),
    Code.TOO_MANY_GROUPS: _blocks(
        "An action forwards to more than five target groups, AWS's fixed quota per action: the controller cannot write "
        "the rule, and the load balancer keeps the old one.",
        "Use fewer Services in one action; batches need one each, so use fewer batches.",
    ),
    Code.TARGET_GROUP_GONE: _blocks(
        "The target group of a TargetGroupBinding does not exist in AWS: no pod is registered, and the gate answers "
        "TargetGroupNotFound for ever. Seen in a cluster only.",
        "Create the target group or correct the binding; delete a binding that is left over.",
    ),
    Code.TARGET_GROUP_RENAMED: _risk(
        "The edit gives the Service a new target group: the controller builds its name from the Service, the port, the "
        "target type and the protocol. It begins empty and without metrics, no running pod has its readiness gate, and "
        "the rule moves to it before its targets are healthy. Seen with `--before` only.",
        "Add a second Service or Ingress with the new settings, move traffic by weight, and remove the old one later.",
    ),
    Code.ZONE_NOT_ENABLED: _blocks(
        "Targets are `unused` (Target.NotInUse) although a rule forwards to their group: their pods run in an "
        "Availability Zone that the load balancer does not have, and never get a request. Seen in a cluster only.",
        "Add a subnet of that zone to the load balancer, or keep the pods out of the zone.",
    ),
    Code.FAILS_OVER_EARLY: _risk(
        "With a higher threshold of healthy targets the load balancer gives up on a target group in which only the "
        "first targets of green are healthy: it sends requests to unhealthy targets too, or takes the zone out of DNS.",
        "Leave `minimum_healthy_targets` at AWS's default (count 1, percentage off), or use the ping-pong canary.",
    ),
    Code.SLOW_START: _advice(
        "With slow start a new target gets its share only gradually, and a switch moves all of them at once.",
        "Remove `slow_start.duration_seconds`; warm green up before the switch instead.",
    ),
    Code.STICKINESS: _advice(
        "With stickiness users stay with a target of the old version until it is deregistered.",
        "Expect requests to both versions after the switch, or turn it off.",
    ),
    Code.READINESS_GATE_MISSING: _advice(
        "The namespace has no label for readiness gates: pods are Ready before the load balancer finds them healthy, "
        "also "
        "in a restart that no analysis sees.",
        "Label the namespace `elbv2.k8s.aws/pod-readiness-gate-inject: enabled`.",
    ),
    Code.READINESS_GATE_HANGS: _risk(
        "With readiness gates a sick green never becomes Ready, so Argo never begins the analysis, and the Rollout "
        "hangs.",
        "Set `progressDeadlineAbort: true`.",
    ),
    Code.PODS_WITHOUT_GATE: _advice(
        "Some of green's pods lack the readiness gate of a target group: they are Ready before the load balancer finds "
        "them healthy there. Seen in a cluster only.",
        "Deploy again: the next pods get it. Check the controller's webhook if they do not.",
    ),
    Code.GATE_OF_NO_BINDING: _advice(
        "Pods have the readiness gate of a TargetGroupBinding that is gone. The controller sets such a gate to True, "
        "so it "
        "protects nothing. Seen in a cluster only.",
        "Deploy again: the next pods get the gates of the bindings that there are.",
    ),
    Code.NO_PRE_STOP: _risk(
        "A pod that is told to stop still gets requests until the load balancer has deregistered it; without "
        "`preStop` it "
        "refuses them.",
        "Add `lifecycle.preStop` with a sleep of some 30 s.",
    ),
    Code.KILLED_TOO_EARLY: _risk(
        "`terminationGracePeriodSeconds` ends before `preStop` and the requests in flight do.",
        "Make it longer than `preStop` plus the longest request.",
    ),
    Code.BLUE_GONE_TOO_EARLY: _advice(
        "Blue is stopped before its deregistration delay is over: requests that last longer than "
        "`scaleDownDelaySeconds` "
        "plus `preStop` are cut, although the load balancer would wait for them.",
        "Make `scaleDownDelaySeconds` longer than the longest request, or the deregistration delay as short as that.",
    ),
    Code.NO_WAY_BACK: _risk("`revisionHistoryLimit: 0` keeps no version to roll back to.", "Keep at least one."),
    Code.BLUE_CANNOT_RETURN: _risk(
        "When green fails after the switch, blue could not take the traffic back at once: its pods are gone, fewer, or "
        "unhealthy.",
        "Keep blue whole until the watch is over: `scaleDownDelaySeconds`, no `dynamicStableScale`, healthy targets.",
    ),
    Code.PERMISSION_MISSING: _blocks(
        "The provider lacks a permission that queries about this Rollout need: they answer Inconclusive for ever. Seen "
        "in a cluster only.",
        "Grant it: `deploy/base/cluster-role.yaml` and `deploy/iam-policy.json` have all of them.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one setup: the objects concerned (kind/name), and what will happen there."""

    code: Code
    objects: tuple[str, ...]
    says: str
    severity: Severity

    @property
    def todo(self) -> str:
        """What to change."""
        return ROWS[self.code].todo


def finding(code: Code, objects: tuple[str, ...], says: str, severity: Severity | None = None) -> Finding:
    """Return a finding; its severity is that of its code unless something makes it less sure."""
    return Finding(code, objects, says, severity or ROWS[code].severity)
