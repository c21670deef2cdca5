"""Every reason an answer can have, with its meaning and what to do: the closed list of `reason` in an answer.

The list is the documentation: the docs, `/openapi.json` and the tests are made from it. A reason is never renamed,
because people alert on it; add a member instead.
"""

from enum import StrEnum
from typing import Self


class Phase(StrEnum):
    """Argo's words for the outcome of a measurement."""

    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    FAILED = "Failed"

    @property
    def severity(self) -> int:
        """0 for Successful, 1 for Inconclusive, 2 for Failed: the worst of several is their maximum."""
        return list(Phase).index(self)


class Action(StrEnum):
    """What an answer asks of people."""

    NONE = "none"
    """Nothing: it is decided, and Argo promotes or aborts."""

    WAIT = "wait"
    """Wait: time alone can make it pass."""

    FIX = "fix"
    """A person must act: waiting does not help."""


_Member = tuple[str, Phase, Action, str, str]


def _pass(word: str, meaning: str, todo: str = "Nothing.") -> _Member:
    return word, Phase.SUCCESSFUL, Action.NONE, meaning, todo


def _fail(word: str, meaning: str, todo: str) -> _Member:
    return word, Phase.FAILED, Action.NONE, meaning, todo


def _wait(word: str, meaning: str, todo: str = "Nothing: Argo measures again.") -> _Member:
    return word, Phase.INCONCLUSIVE, Action.WAIT, meaning, todo


def _fix(word: str, meaning: str, todo: str) -> _Member:
    return word, Phase.INCONCLUSIVE, Action.FIX, meaning, todo


class Reason(StrEnum):
    """Why an answer has its phase, in one CamelCase word, and what that means.

    `phase` is the one that an answer with this reason usually has (`onNoData` decides about NoData), `action` what it
    asks of people, `todo` what they do.
    """

    phase: Phase
    action: Action
    meaning: str
    todo: str

    def __new__(
        cls,
        value: str,
        phase: Phase = Phase.INCONCLUSIVE,
        action: Action = Action.WAIT,
        meaning: str = "",
        todo: str = "",
    ) -> Self:
        """Make a member; `Reason(word)` looks one up."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.phase, reason.action, reason.meaning, reason.todo = phase, action, meaning, todo
        return reason

    # Pass.
    TARGETS_HEALTHY = _pass(
        "TargetsHealthy", "Enough of green's pods are healthy targets in every target group of the green Service."
    )
    REPLICAS_AVAILABLE = _pass(
        "ReplicasAvailable",
        "Enough of green's desired replicas are available (`minHealthyPercent`; default: all of them).",
    )
    ERRORS_WITHIN_LIMIT = _pass("ErrorsWithinLimit", "Green's share of 5xx is within the limits.")
    NO_REQUESTS = _pass(
        "NoRequests",
        "No request reached green in the window, so none failed.",
        "Set `minRequests` if green must have answered requests before it may pass.",
    )
    GREEN_WARM = _pass(
        "GreenWarm", "Green's 95th percentile is within `maxLatencyFactor` times blue's, beyond chance (`warm`)."
    )
    ALL_CHECKS_PASSED = _pass("AllChecksPassed", "Every check of the gate is Successful.")
    # Green is bad.
    TARGETS_UNHEALTHY = _fail(
        "TargetsUnhealthy",
        "`minHealthyPercent` is out of reach: too many targets have been `unhealthy` for longer than the grace period.",
        "Read AWS's reason code in the sentence: the health check's path, port, matcher or timeout, or the pod.",
    )
    TARGETS_ANOMALOUS = _fail(
        "TargetsAnomalous",
        "With `anomalies=fail`: the load balancer finds that pods of green fail more often than their peers (AWS's "
        "anomaly detection).",
        "Read the logs of the pods in the sentence, and look at what is particular to their nodes or zone.",
    )
    ERRORS_ABOVE_LIMIT = _fail(
        "ErrorsAboveLimit",
        "More of green's responses were 5xx than `maxErrorPercent` or `maxErrors` allow.",
        "Read green's logs.",
    )
    LOAD_BALANCER_ERRORS = _fail(
        "LoadBalancerErrors",
        "After the switch the load balancer itself returned too many 5xx, and it serves this Rollout only.",
        "502: green closes connections or breaks the protocol; 503: no target is available; 504: green is too slow.",
    )
    WORSE_THAN_BLUE = _fail(
        "WorseThanBlue",
        "Green's share of 5xx is greater than blue's beyond chance (`compare=blue`).",
        "Read green's logs.",
    )
    # Not ready yet.
    TARGETS_INITIAL = _wait("TargetsInitial", "Targets are being registered or await their first health check.")
    TARGETS_MISSING = _wait(
        "TargetsMissing",
        "Pods that green should have are not registered: not created, without an IP address, or not registered yet.",
        "If it lasts: read the pods' events, then the load balancer controller's log.",
    )
    TARGETS_DRAINING = _wait(
        "TargetsDraining",
        "Green's targets are being deregistered.",
        "If it lasts: find what removes green from the Service.",
    )
    TARGETS_UNHEALTHY_IN_GRACE = _wait(
        "TargetsUnhealthyInGrace",
        "Targets are `unhealthy`, but that is no proof against green: they were healthy a moment ago, its pods are too "
        "young or not ready, the failure is the load balancer's own, or a node serves pods of any version.",
    )
    TARGETS_UNAVAILABLE = _wait(
        "TargetsUnavailable",
        "The load balancer has no health information for targets.",
        "If it lasts: read AWS's reason code.",
    )
    TARGETS_SHIFTED_AWAY = _wait(
        "TargetsShiftedAway",
        "Every healthy target of green is in a zone that traffic is shifted away from (zonal shift): none would serve.",
        "Let green's pods run in other zones (topologySpreadConstraints), or end the zonal shift.",
    )
    TARGETS_STATE_UNKNOWN = _wait(
        "TargetsStateUnknown",
        "AWS reports a target state that this version of the provider does not know; the sentence names it.",
        "If it lasts: upgrade the provider.",
    )
    PODS_NOT_READY = _wait(
        "PodsNotReady",
        "Instance targets: too few green pods are ready behind the nodes.",
        "If it lasts: read the pods' events.",
    )
    REPLICAS_UNAVAILABLE = _wait(
        "ReplicasUnavailable",
        "Fewer of green's desired replicas are available than `minHealthyPercent` asks for (default: all of them).",
        "If it lasts: read the pods' events.",
    )
    NO_PODS = _wait(
        "NoPods",
        "The green ReplicaSet is scaled to 0: it was aborted, or is not scaled up yet.",
        "If it lasts: read the Rollout's status.",
    )
    ROLLOUT_NOT_OBSERVED = _wait(
        "RolloutNotObserved",
        "Argo has not processed the latest change of the Rollout yet, so its status names an old green.",
    )
    REPLICA_SET_NOT_OBSERVED = _wait(
        "ReplicaSetNotObserved", "Kubernetes has not processed the latest change of the green ReplicaSet yet."
    )
    REPLICA_SET_NOT_FOUND = _wait(
        "ReplicaSetNotFound", "The Rollout has no ReplicaSet of its current pod template hash (yet)."
    )
    SERVICE_NOT_SWITCHED = _wait(
        "ServiceNotSwitched",
        "The Service to be judged does not select green's pods (yet).",
        "If it lasts: read the Rollout's status.",
    )
    # Blocked.
    WINDOW_NOT_OPEN = _wait(
        "WindowNotOpen", "Green has not been behind its Service for one full minute of complete CloudWatch metrics yet."
    )
    NO_DATA = _wait(
        "NoData",
        "CloudWatch has no data for some minutes of the window, so a missing count cannot be read as 0.",
        "If it lasts: check that the load balancer gets requests. `onNoData` sets how to treat such minutes.",
    )
    TOO_FEW_REQUESTS = _wait(
        "TooFewRequests",
        "Fewer requests than `minRequests`, or than a comparison needs.",
        "Send requests to green, or lower `minRequests`.",
    )
    GREEN_COLD = _wait(
        "GreenCold",
        "More than 5 % of green's requests took longer than `maxLatencyFactor` times blue's 95th percentile (`warm`).",
        "Send requests to green (`alb-provider warm-up`). If it lasts, green is slower than blue: find out why.",
    )
    NOT_WORSE_THAN_BLUE = _wait(
        "NotWorseThanBlue",
        "Green's share of 5xx is above the limit, but not worse than blue's beyond chance: both may have one cause.",
        "Look for what both versions depend on.",
    )
    NO_BLUE = _fix(
        "NoBlue",
        "`compare=blue` or `warm`, but no Service of the Rollout selects blue.",
        "Use `compare` and `warm` before the switch only.",
    )
    LOAD_BALANCER_SHARED = _wait(
        "LoadBalancerShared",
        "The load balancer itself returned too many 5xx, but it also serves target groups of other applications.",
        "Find out which of them caused it: these metrics do not tell.",
    )
    SELECTOR_AGE_UNKNOWN = _fix(
        "SelectorAgeUnknown",
        "The green Service does not say when its selector was written, so it is unknown which metrics are green's.",
        "Keep `managedFields` on the Service.",
    )
    SUPERSEDED = _fix(
        "Superseded",
        "`podTemplateHash` is no longer the current green, so it can never pass.",
        "Nothing under Argo, which ends this analysis itself. Otherwise ask about the current hash.",
    )
    NO_PODS_DESIRED = _fix(
        "NoPodsDesired",
        "Argo gives green no pods, and waiting does not change that: a canary at weight 0 without `setCanaryScale`, "
        "`previewReplicaCount: 0`, or a Rollout that is itself scaled to 0. The sentence says which.",
        "In a canary put `setCanaryScale` (`weight: 100`) before the step that asks. Otherwise raise "
        "`previewReplicaCount`, or scale the Rollout up.",
    )
    NO_PREVIEW_SERVICE = _fix(
        "NoPreviewService",
        "A blue-green Rollout without `previewService`: before the switch green is in no target group.",
        "Add a `previewService` with a listener rule, or ask only after the switch.",
    )
    NO_STRATEGY_SERVICE = _fix(
        "NoStrategyService",
        "The canary strategy names no Service for green.",
        "Set `canaryService` and `stableService`, or `pingPong`, in the strategy.",
    )
    SERVICE_NOT_IN_STRATEGY = _fix(
        "ServiceNotInStrategy",
        "`service` is not one of the Rollout's strategy Services.",
        "Use one of those in the sentence.",
    )
    SERVICE_NOT_FOUND = _fix(
        "ServiceNotFound",
        "The green Service or the production Service does not exist, so it is unknown which version users reach.",
        "Create it, or correct the name in the strategy.",
    )
    SERVICE_PORT_NOT_FOUND = _fix(
        "ServicePortNotFound",
        "A TargetGroupBinding names a port that its Service does not have, so the controller empties the target group.",
        "Correct `serviceRef.port` or the Service's ports.",
    )
    NO_BINDING = _fix(
        "NoBinding",
        "No TargetGroupBinding names the green Service, so no load balancer checks green: no rule or route names that "
        "Service, or in a canary one does with weight 0, for which the load balancer controller may make no binding.",
        "Route to that Service with an Ingress, a Gateway or a TargetGroupBinding; in a canary with a weight above 0.",
    )
    BINDING_NEEDS_ROLE = _fix(
        "BindingNeedsRole",
        "A TargetGroupBinding names a role (`iamRoleArnToAssume`) that the provider may not assume.",
        "Add the role to `PROVIDER_ASSUME_ROLE_ARNS` if the provider may read that account (deploy/README.md).",
    )
    TARGET_GROUP_NOT_FOUND = _fix(
        "TargetGroupNotFound",
        "The target group does not exist in this account and region.",
        "Correct the binding, or the account.",
    )
    TARGET_GROUP_NOT_IN_USE = _fix(
        "TargetGroupNotInUse",
        "No listener rule forwards to the target group, so the load balancer never health-checks it.",
        "Add a listener rule that forwards to it; weight 0, or a host only you know, is enough.",
    )
    TARGET_TYPE_UNSUPPORTED = _fix(
        "TargetTypeUnsupported",
        "The target group has neither `ip` nor `instance` targets (`lambda`, `alb`).",
        "Use one of these target types.",
    )
    NO_HTTP_METRICS = _fix(
        "NoHttpMetrics",
        "`errors` or `warm`: the target group is behind a Network or a Gateway Load Balancer, which counts no HTTP "
        "responses.",
        "Set `checks=replicas,target-health` (`gate`).",
    )
    TARGETS_UNUSED = _fix(
        "TargetsUnused",
        "Registered targets get no traffic and no checks: their zone is not enabled, or the address is not usable.",
        "Enable the pods' availability zones on the load balancer.",
    )
    HEALTH_CHECK_DISABLED = _fix(
        "HealthCheckDisabled",
        "The health check of the target group is disabled, so nothing is known about its targets.",
        "Turn on the target group's health check.",
    )
    ADDRESS_FAMILY_MISMATCH = _fix(
        "AddressFamilyMismatch",
        "The TargetGroupBinding takes IPv6 addresses and the green Service has only IPv4 ones, or the reverse.",
        "Make the Service dual-stack (`ipFamilies`), or correct `ipAddressType` in the binding.",
    )
    TARGET_PORT_NOT_FOUND = _fix(
        "TargetPortNotFound",
        "Green's pods have no container port of the name that is the `targetPort` of the green Service.",
        "Name a container port in the pod template, or correct `targetPort`.",
    )
    SELECTOR_MATCHES_NO_POD = _fix(
        "SelectorMatchesNoPod",
        "The green Service's selector asks for a label that green's pods do not have, so it has no pods.",
        "Remove the label from the selector, or add it to the Rollout's pod template. kustomize's `labels` with "
        "`includeSelectors` adds labels to Services and not to Rollouts.",
    )
    # What Argo is doing.
    NOT_SWITCHED = _wait(
        "NotSwitched", "The query is about `stage=afterSwitch`, and green does not take production traffic yet."
    )
    ALREADY_SWITCHED = _fix(
        "AlreadySwitched",
        "The query is about `stage=beforeSwitch`, and green already takes production traffic.",
        "Ask with `stage=afterSwitch`.",
    )
    ROLLOUT_ABORTED = _fix(
        "RolloutAborted",
        "Argo aborted the Rollout; the sentence says when and why.",
        "Deploy another version. A retry of this one asks the gate again on Argo Rollouts 1.10 and newer.",
    )
    ROLLOUT_PAUSED = _fix(
        "RolloutPaused",
        "Argo paused the Rollout after an inconclusive analysis and waits for a person.",
        "Find the cause in the AnalysisRun, then resume the Rollout: that starts a new analysis.",
    )
    INVALID_SPEC = _fix(
        "InvalidSpec",
        "Argo rejects the Rollout's spec and does not act on it.",
        "Correct what Argo's message in the sentence names.",
    )
    ACTIVE_SERVICE_WITHOUT_HASH = _fix(
        "ActiveServiceWithoutHash",
        "The selector of the production Service (`activeService`, `stableService`, or the stable one of a ping-pong "
        "pair) has lost its pod template hash: users may reach green already, and in blue-green Argo switches to it "
        "without asking.",
        "Put blue's hash back into the selector, and stop what overwrites it (often a GitOps tool).",
    )
    # Handover.
    HANDOVER_READY = _pass(
        "HandoverReady",
        "Enough of green's pods are healthy targets in every production target group too, beside blue's.",
    )
    HANDOVER_WAITING = _wait(
        "HandoverWaiting",
        "Green's pods are registered in the production target groups, and not enough of them are healthy there yet.",
    )
    HANDOVER_TIMED_OUT = _fix(
        "HandoverTimedOut",
        "`maxHandoverSeconds` was over before the switch, so green was taken out of production again.",
        "Find what kept the targets from being healthy, or Argo from switching, and deploy again.",
    )
    HANDOVER_NOT_NEEDED = _fix(
        "HandoverNotNeeded",
        "This Rollout switches without a gap by itself (ping-pong), or its targets are instances.",
        "Remove the metric that asks for a handover.",
    )
    HANDOVER_IMPOSSIBLE = _fix(
        "HandoverImpossible",
        "Green's pods cannot become targets of the production target group; the sentence says why.",
        "Change what the sentence names, or remove the metric that asks for a handover.",
    )
    # Evidence could not be read.
    METRICS_INCOMPLETE = _wait("MetricsIncomplete", "CloudWatch returned only a part of a metric.")
    DEADLINE_EXCEEDED = _wait(
        "DeadlineExceeded",
        "The query's time limit ended before all reads did; the sentence names one.",
        "If it lasts: check that system.",
    )
    STALE_EVIDENCE = _wait("StaleEvidence", "The evidence was too old when it was judged.")
    CLOCK_SKEW = _fix(
        "ClockSkew",
        "The clock of Kubernetes or AWS and the provider's are more than 30 s apart, and the verdict would rest on a "
        "comparison of their times.",
        "Synchronize the clocks that the sentence names with NTP, then restart the provider, which reads its machine's "
        "clock only when it starts.",
    )
    KUBERNETES_FORBIDDEN = _fix(
        "KubernetesForbidden",
        "The Kubernetes API forbids a read.",
        "Grant the verb and resource in the sentence (RBAC).",
    )
    KUBERNETES_UNAUTHORIZED = _fix(
        "KubernetesUnauthorized",
        "The Kubernetes API rejects the provider's credentials.",
        "Renew the ServiceAccount token or kubeconfig.",
    )
    KUBERNETES_API_MISSING = _fix(
        "KubernetesApiMissing",
        "The cluster does not serve an API that is needed.",
        "Install the CRDs named in the sentence.",
    )
    KUBERNETES_THROTTLED = _wait("KubernetesThrottled", "The Kubernetes API throttles the provider.")
    KUBERNETES_TIMEOUT = _wait(
        "KubernetesTimeout",
        "The Kubernetes API did not answer in time.",
        "If it lasts: check network policies and the API server.",
    )
    KUBERNETES_UNAVAILABLE = _wait(
        "KubernetesUnavailable",
        "The Kubernetes API cannot be reached or has an error.",
        "If it lasts: check network policies and the API server.",
    )
    KUBERNETES_REJECTED = _wait(
        "KubernetesRejected",
        "The Kubernetes API rejects a read as wrong or outdated.",
        "If it lasts: report it, with the sentence.",
    )
    KUBERNETES_MALFORMED = _fix(
        "KubernetesMalformed",
        "The response is not one of the Kubernetes API, or is larger than any of its objects.",
        "Look for a proxy in between.",
    )
    AWS_FORBIDDEN = _fix("AwsForbidden", "AWS forbids a call.", "Grant the IAM action in the sentence.")
    AWS_CREDENTIALS = _fix(
        "AwsCredentials",
        "There are no usable AWS credentials, or a role cannot be assumed.",
        "Give the ServiceAccount a role (EKS Pod Identity or IRSA), or let the role in the sentence trust it. On your "
        "own machine choose a profile (`AWS_PROFILE`) and sign in (`aws sso login`).",
    )
    AWS_REGION_MISSING = _fix(
        "AwsRegionMissing", "A target group is bound by name and no region is configured.", "Set `AWS_REGION`."
    )
    AWS_BUDGET = _wait(
        "AwsBudget",
        "The provider's call budget for AWS is used up; this Rollout is in the queue for about `retryAfterSeconds`.",
        "Nothing: Argo measures again. If it lasts: raise `PROVIDER_ELBV2_CALLS_PER_SECOND`, within AWS's quota.",
    )
    AWS_THROTTLED = _wait(
        "AwsThrottled",
        "AWS throttles the account's Describe calls.",
        "If it lasts: find what else calls ELBv2 in this account.",
    )
    AWS_TIMEOUT = _wait(
        "AwsTimeout", "AWS did not answer in time.", "If it lasts: check the VPC endpoint, NAT and network policies."
    )
    AWS_UNAVAILABLE = _wait(
        "AwsUnavailable",
        "AWS cannot be reached or has an error.",
        "If it lasts: check the VPC endpoint, NAT and AWS's health page.",
    )
    AWS_REJECTED = _fix(
        "AwsRejected",
        "AWS rejects the request itself.",
        "Read AWS's code in the sentence: often a wrong ARN in a binding.",
    )
    AWS_MALFORMED = _fix(
        "AwsMalformed", "The response is not one of AWS's API.", "Look for a proxy or a wrong `AWS_ENDPOINT_URL`."
    )
