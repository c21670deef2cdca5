"""Every reason an answer can have, with its meaning and what to do: the closed list of `reason` in an answer.

The table is the documentation: the docs, `/openapi.json` and the tests are made from it. A reason is never renamed,
because people alert on it; add a member and its row instead.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an answer has its phase, in one CamelCase word."""

    # Pass.
    TARGETS_HEALTHY = "TargetsHealthy"
    REPLICAS_AVAILABLE = "ReplicasAvailable"
    ERRORS_WITHIN_LIMIT = "ErrorsWithinLimit"
    NO_REQUESTS = "NoRequests"
    GREEN_WARM = "GreenWarm"
    ALL_CHECKS_PASSED = "AllChecksPassed"
    # Green is bad.
    TARGETS_UNHEALTHY = "TargetsUnhealthy"
    TARGETS_ANOMALOUS = "TargetsAnomalous"
    ERRORS_ABOVE_LIMIT = "ErrorsAboveLimit"
    LOAD_BALANCER_ERRORS = "LoadBalancerErrors"
    WORSE_THAN_BLUE = "WorseThanBlue"
    # Not ready yet.
    TARGETS_INITIAL = "TargetsInitial"
    TARGETS_MISSING = "TargetsMissing"
    TARGETS_DRAINING = "TargetsDraining"
    TARGETS_UNHEALTHY_IN_GRACE = "TargetsUnhealthyInGrace"
    TARGETS_UNAVAILABLE = "TargetsUnavailable"
    TARGETS_SHIFTED_AWAY = "TargetsShiftedAway"
    TARGETS_STATE_UNKNOWN = "TargetsStateUnknown"
    PODS_NOT_READY = "PodsNotReady"
    REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
    NO_PODS = "NoPods"
    ROLLOUT_NOT_OBSERVED = "RolloutNotObserved"
    REPLICA_SET_NOT_OBSERVED = "ReplicaSetNotObserved"
    REPLICA_SET_NOT_FOUND = "ReplicaSetNotFound"
    SERVICE_NOT_SWITCHED = "ServiceNotSwitched"
    # Blocked.
    WINDOW_NOT_OPEN = "WindowNotOpen"
    NO_DATA = "NoData"
    TOO_FEW_REQUESTS = "TooFewRequests"
    GREEN_COLD = "GreenCold"
    NOT_WORSE_THAN_BLUE = "NotWorseThanBlue"
    NO_BLUE = "NoBlue"
    LOAD_BALANCER_SHARED = "LoadBalancerShared"
    SELECTOR_AGE_UNKNOWN = "SelectorAgeUnknown"
    SUPERSEDED = "Superseded"
    NO_PODS_DESIRED = "NoPodsDesired"
    NO_PREVIEW_SERVICE = "NoPreviewService"
    NO_STRATEGY_SERVICE = "NoStrategyService"
    SERVICE_NOT_IN_STRATEGY = "ServiceNotInStrategy"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    SERVICE_PORT_NOT_FOUND = "ServicePortNotFound"
    NO_BINDING = "NoBinding"
    BINDING_NEEDS_ROLE = "BindingNeedsRole"
    TARGET_GROUP_NOT_FOUND = "TargetGroupNotFound"
    TARGET_GROUP_NOT_IN_USE = "TargetGroupNotInUse"
    TARGET_TYPE_UNSUPPORTED = "TargetTypeUnsupported"
    NO_HTTP_METRICS = "NoHttpMetrics"
    TARGETS_UNUSED = "TargetsUnused"
    HEALTH_CHECK_DISABLED = "HealthCheckDisabled"
    ADDRESS_FAMILY_MISMATCH = "AddressFamilyMismatch"
    TARGET_PORT_NOT_FOUND = "TargetPortNotFound"
    SELECTOR_MATCHES_NO_POD = "SelectorMatchesNoPod"
    # What Argo is doing.
    NOT_SWITCHED = "NotSwitched"
    ALREADY_SWITCHED = "AlreadySwitched"
    ROLLOUT_ABORTED = "RolloutAborted"
    ROLLOUT_PAUSED = "RolloutPaused"
    INVALID_SPEC = "InvalidSpec"
    ACTIVE_SERVICE_WITHOUT_HASH = "ActiveServiceWithoutHash"
    # Handover.
    HANDOVER_READY = "HandoverReady"
    HANDOVER_WAITING = "HandoverWaiting"
    HANDOVER_TIMED_OUT = "HandoverTimedOut"
    HANDOVER_NOT_NEEDED = "HandoverNotNeeded"
    HANDOVER_IMPOSSIBLE = "HandoverImpossible"
    # Evidence could not be read.
    METRICS_INCOMPLETE = "MetricsIncomplete"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    STALE_EVIDENCE = "StaleEvidence"
    CLOCK_SKEW = "ClockSkew"
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    KUBERNETES_UNAUTHORIZED = "KubernetesUnauthorized"
    KUBERNETES_API_MISSING = "KubernetesApiMissing"
    KUBERNETES_THROTTLED = "KubernetesThrottled"
    KUBERNETES_TIMEOUT = "KubernetesTimeout"
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    KUBERNETES_REJECTED = "KubernetesRejected"
    KUBERNETES_MALFORMED = "KubernetesMalformed"
    AWS_FORBIDDEN = "AwsForbidden"
    AWS_CREDENTIALS = "AwsCredentials"
    AWS_REGION_MISSING = "AwsRegionMissing"
    AWS_BUDGET = "AwsBudget"
    AWS_THROTTLED = "AwsThrottled"
    AWS_TIMEOUT = "AwsTimeout"
    AWS_UNAVAILABLE = "AwsUnavailable"
    AWS_REJECTED = "AwsRejected"
    AWS_MALFORMED = "AwsMalformed"


class Action(StrEnum):
    """What an answer asks of people."""

    NONE = "none"
    """Nothing: it is decided, and Argo promotes or aborts."""

    WAIT = "wait"
    """Wait: time alone can make it pass."""

    FIX = "fix"
    """A person must act: waiting does not help."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the documentation of a reason."""

    phase: str
    action: Action
    meaning: str
    todo: str


def _pass(meaning: str, todo: str = "Nothing.") -> Meaning:
    return Meaning("Successful", Action.NONE, meaning, todo)


def _fail(meaning: str, todo: str) -> Meaning:
    return Meaning("Failed", Action.NONE, meaning, todo)


def _wait(meaning: str, todo: str = "Nothing: Argo measures again.") -> Meaning:
    return Meaning("Inconclusive", Action.WAIT, meaning, todo)


def _fix(meaning: str, todo: str) -> Meaning:
    return Meaning("Inconclusive", Action.FIX, meaning, todo)


MEANINGS: dict[Reason, Meaning] = {
    Reason.TARGETS_HEALTHY: _pass(
        "Enough of green's pods are healthy targets in every target group of the green Service."
    ),
    Reason.REPLICAS_AVAILABLE: _pass(
        "Enough of green's desired replicas are available (`minHealthyPercent`; default: all of them)."
    ),
    Reason.ERRORS_WITHIN_LIMIT: _pass("Green's share of 5xx is within the limits."),
    Reason.NO_REQUESTS: _pass(
        "No request reached green in the window, so none failed.",
        "Set `minRequests` if green must have answered requests before it may pass.",
    ),
    Reason.GREEN_WARM: _pass(
        "Green's 95th percentile is within `maxLatencyFactor` times blue's, beyond chance (`warm`)."
    ),
    Reason.ALL_CHECKS_PASSED: _pass("Every check of the gate is Successful."),
    Reason.TARGETS_UNHEALTHY: _fail(
        "`minHealthyPercent` is out of reach: too many targets have been `unhealthy` for longer than the grace period.",
        "Read AWS's reason code in the sentence: the health check's path, port, matcher or timeout, or the pod.",
    ),
    Reason.TARGETS_ANOMALOUS: _fail(
        "With `anomalies=fail`: the load balancer finds that pods of green fail more often than their peers (AWS's "
        "anomaly detection).",
        "Read the logs of the pods in the sentence, and look at what is particular to their nodes or zone.",
    ),
    Reason.ERRORS_ABOVE_LIMIT: _fail(
        "More of green's responses were 5xx than `maxErrorPercent` or `maxErrors` allow.", "Read green's logs."
    ),
    Reason.LOAD_BALANCER_ERRORS: _fail(
        "After the switch the load balancer itself returned too many 5xx, and it serves this Rollout only.",
        "502: green closes connections or breaks the protocol; 503: no target is available; 504: green is too slow.",
    ),
    Reason.WORSE_THAN_BLUE: _fail(
        "Green's share of 5xx is greater than blue's beyond chance (`compare=blue`).", "Read green's logs."
    ),
    Reason.TARGETS_INITIAL: _wait("Targets are being registered or await their first health check."),
    Reason.TARGETS_MISSING: _wait(
        "Pods that green should have are not registered: not created, without an IP address, or not registered yet.",
        "If it lasts: read the pods' events, then the load balancer controller's log.",
    ),
    Reason.TARGETS_DRAINING: _wait(
        "Green's targets are being deregistered.", "If it lasts: find what removes green from the Service."
    ),
    Reason.TARGETS_UNHEALTHY_IN_GRACE: _wait(
        "Targets are `unhealthy`, but that is no proof against green: they were healthy a moment ago, its pods are too "
        "young or not ready, the failure is the load balancer's own, or a node serves pods of any version."
    ),
    Reason.TARGETS_UNAVAILABLE: _wait(
        "The load balancer has no health information for targets.", "If it lasts: read AWS's reason code."
    ),
    Reason.TARGETS_SHIFTED_AWAY: _wait(
        "Every healthy target of green is in a zone that traffic is shifted away from (zonal shift): none would serve.",
        "Let green's pods run in other zones (topologySpreadConstraints), or end the zonal shift.",
    ),
    Reason.TARGETS_STATE_UNKNOWN: _wait(
        "AWS reports a target state that this version of the provider does not know; the sentence names it.",
        "If it lasts: upgrade the provider.",
    ),
    Reason.PODS_NOT_READY: _wait(
        "Instance targets: too few green pods are ready behind the nodes.", "If it lasts: read the pods' events."
    ),
    Reason.REPLICAS_UNAVAILABLE: _wait(
        "Fewer of green's desired replicas are available than `minHealthyPercent` asks for (default: all of them).",
        "If it lasts: read the pods' events.",
    ),
    Reason.NO_PODS: _wait(
        "The green ReplicaSet is scaled to 0: it was aborted, or is not scaled up yet.",
        "If it lasts: read the Rollout's status.",
    ),
    Reason.ROLLOUT_NOT_OBSERVED: _wait(
        "Argo has not processed the latest change of the Rollout yet, so its status names an old green."
    ),
    Reason.REPLICA_SET_NOT_OBSERVED: _wait(
        "Kubernetes has not processed the latest change of the green ReplicaSet yet."
    ),
    Reason.REPLICA_SET_NOT_FOUND: _wait("The Rollout has no ReplicaSet of its current pod template hash (yet)."),
    Reason.SERVICE_NOT_SWITCHED: _wait(
        "The Service to be judged does not select green's pods (yet).", "If it lasts: read the Rollout's status."
    ),
    Reason.WINDOW_NOT_OPEN: _wait(
        "Green has not been behind its Service for one full minute of complete CloudWatch metrics yet."
    ),
    Reason.NO_DATA: _wait(
        "CloudWatch has no data for some minutes of the window, so a missing count cannot be read as 0.",
        "If it lasts: check that the load balancer gets requests. `onNoData` sets how to treat such minutes.",
    ),
    Reason.TOO_FEW_REQUESTS: _wait(
        "Fewer requests than `minRequests`, or than a comparison needs.",
        "Send requests to green, or lower `minRequests`.",
    ),
    Reason.GREEN_COLD: _wait(
        "More than 5 % of green's requests took longer than `maxLatencyFactor` times blue's 95th percentile (`warm`).",
        "Send requests to green (`alb-provider warm-up`). If it lasts, green is slower than blue: find out why.",
    ),
    Reason.NOT_WORSE_THAN_BLUE: _wait(
        "Green's share of 5xx is above the limit, but not worse than blue's beyond chance: both may have one cause.",
        "Look for what both versions depend on.",
    ),
    Reason.NO_BLUE: _fix(
        "`compare=blue` or `warm`, but no Service of the Rollout selects blue.",
        "Use `compare` and `warm` before the switch only.",
    ),
    Reason.LOAD_BALANCER_SHARED: _wait(
        "The load balancer itself returned too many 5xx, but it also serves target groups of other applications.",
        "Find out which of them caused it: these metrics do not tell.",
    ),
    Reason.SELECTOR_AGE_UNKNOWN: _fix(
        "The green Service does not say when its selector was written, so it is unknown which metrics are green's.",
        "Keep `managedFields` on the Service.",
    ),
    Reason.SUPERSEDED: _fix(
        "`podTemplateHash` is no longer the current green, so it can never pass.",
        "Nothing under Argo, which ends this analysis itself. Otherwise ask about the current hash.",
    ),
    Reason.NO_PODS_DESIRED: _fix(
        "Argo gives green no pods, and waiting does not change that: a canary at weight 0 without `setCanaryScale`, "
        "`previewReplicaCount: 0`, or a Rollout that is itself scaled to 0. The sentence says which.",
        "In a canary put `setCanaryScale` (`weight: 100`) before the step that asks. Otherwise raise "
        "`previewReplicaCount`, or scale the Rollout up.",
    ),
    Reason.NO_PREVIEW_SERVICE: _fix(
        "A blue-green Rollout without `previewService`: before the switch green is in no target group.",
        "Add a `previewService` with a listener rule, or ask only after the switch.",
    ),
    Reason.NO_STRATEGY_SERVICE: _fix(
        "The canary strategy names no Service for green.",
        "Set `canaryService` and `stableService`, or `pingPong`, in the strategy.",
    ),
    Reason.SERVICE_NOT_IN_STRATEGY: _fix(
        "`service` is not one of the Rollout's strategy Services.", "Use one of those in the sentence."
    ),
    Reason.SERVICE_NOT_FOUND: _fix(
        "The green Service or the production Service does not exist, so it is unknown which version users reach.",
        "Create it, or correct the name in the strategy.",
    ),
    Reason.SERVICE_PORT_NOT_FOUND: _fix(
        "A TargetGroupBinding names a port that its Service does not have, so the controller empties the target group.",
        "Correct `serviceRef.port` or the Service's ports.",
    ),
    Reason.NO_BINDING: _fix(
        "No TargetGroupBinding names the green Service, so no load balancer checks green: no rule or route names that "
        "Service, or in a canary one does with weight 0, for which the load balancer controller may make no binding.",
        "Route to that Service with an Ingress, a Gateway or a TargetGroupBinding; in a canary with a weight above 0.",
    ),
    Reason.BINDING_NEEDS_ROLE: _fix(
        "A TargetGroupBinding names a role (`iamRoleArnToAssume`) that the provider may not assume.",
        "Add the role to `PROVIDER_ASSUME_ROLE_ARNS` if the provider may read that account (deploy/README.md).",
    ),
    Reason.TARGET_GROUP_NOT_FOUND: _fix(
        "The target group does not exist in this account and region.", "Correct the binding, or the account."
    ),
    Reason.TARGET_GROUP_NOT_IN_USE: _fix(
        "No listener rule forwards to the target group, so the load balancer never health-checks it.",
        "Add a listener rule that forwards to it; weight 0, or a host only you know, is enough.",
    ),
    Reason.TARGET_TYPE_UNSUPPORTED: _fix(
        "The target group has neither `ip` nor `instance` targets (`lambda`, `alb`).",
        "Use one of these target types.",
    ),
    Reason.NO_HTTP_METRICS: _fix(
        "`errors` or `warm`: the target group is behind a Network or a Gateway Load Balancer, which counts no HTTP "
        "responses.",
        "Set `checks=replicas,target-health` (`gate`).",
    ),
    Reason.TARGETS_UNUSED: _fix(
        "Registered targets get no traffic and no checks: their zone is not enabled, or the address is not usable.",
        "Enable the pods' availability zones on the load balancer.",
    ),
    Reason.HEALTH_CHECK_DISABLED: _fix(
        "The health check of the target group is disabled, so nothing is known about its targets.",
        "Turn on the target group's health check.",
    ),
    Reason.ADDRESS_FAMILY_MISMATCH: _fix(
        "The TargetGroupBinding takes IPv6 addresses and the green Service has only IPv4 ones, or the reverse.",
        "Make the Service dual-stack (`ipFamilies`), or correct `ipAddressType` in the binding.",
    ),
    Reason.TARGET_PORT_NOT_FOUND: _fix(
        "Green's pods have no container port of the name that is the `targetPort` of the green Service.",
        "Name a container port in the pod template, or correct `targetPort`.",
    ),
    Reason.SELECTOR_MATCHES_NO_POD: _fix(
        "The green Service's selector asks for a label that green's pods do not have, so it has no pods.",
        "Remove the label from the selector, or add it to the Rollout's pod template. kustomize's `labels` with "
        "`includeSelectors` adds labels to Services and not to Rollouts.",
    ),
    Reason.NOT_SWITCHED: _wait(
        "The query is about `stage=afterSwitch`, and green does not take production traffic yet."
    ),
    Reason.ALREADY_SWITCHED: _fix(
        "The query is about `stage=beforeSwitch`, and green already takes production traffic.",
        "Ask with `stage=afterSwitch`.",
    ),
    Reason.ROLLOUT_ABORTED: _fix(
        "Argo aborted the Rollout; the sentence says when and why.",
        "Deploy another version. A retry of this one asks the gate again on Argo Rollouts 1.10 and newer.",
    ),
    Reason.ROLLOUT_PAUSED: _fix(
        "Argo paused the Rollout after an inconclusive analysis and waits for a person.",
        "Find the cause in the AnalysisRun, then resume the Rollout: that starts a new analysis.",
    ),
    Reason.INVALID_SPEC: _fix(
        "Argo rejects the Rollout's spec and does not act on it.", "Correct what Argo's message in the sentence names."
    ),
    Reason.ACTIVE_SERVICE_WITHOUT_HASH: _fix(
        "The selector of the production Service (`activeService`, `stableService`, or the stable one of a ping-pong "
        "pair) has lost its pod template hash: users may reach green already, and in blue-green Argo switches to it "
        "without asking.",
        "Put blue's hash back into the selector, and stop what overwrites it (often a GitOps tool).",
    ),
    Reason.HANDOVER_READY: _pass(
        "Enough of green's pods are healthy targets in every production target group too, beside blue's."
    ),
    Reason.HANDOVER_WAITING: _wait(
        "Green's pods are registered in the production target groups, and not enough of them are healthy there yet."
    ),
    Reason.HANDOVER_TIMED_OUT: _fix(
        "`maxHandoverSeconds` was over before the switch, so green was taken out of production again.",
        "Find what kept the targets from being healthy, or Argo from switching, and deploy again.",
    ),
    Reason.HANDOVER_NOT_NEEDED: _fix(
        "This Rollout switches without a gap by itself (ping-pong), or its targets are instances.",
        "Remove the metric that asks for a handover.",
    ),
    Reason.HANDOVER_IMPOSSIBLE: _fix(
        "Green's pods cannot become targets of the production target group; the sentence says why.",
        "Change what the sentence names, or remove the metric that asks for a handover.",
    ),
    Reason.METRICS_INCOMPLETE: _wait("CloudWatch returned only a part of a metric."),
    Reason.DEADLINE_EXCEEDED: _wait(
        "The query's time limit ended before all reads did; the sentence names one.", "If it lasts: check that system."
    ),
    Reason.STALE_EVIDENCE: _wait("The evidence was too old when it was judged."),
    Reason.CLOCK_SKEW: _fix(
        "The clock of Kubernetes or AWS and the provider's are more than 30 s apart, and the verdict would rest on a "
        "comparison of their times.",
        "Synchronize the clocks that the sentence names with NTP, then restart the provider, which reads its machine's "
        "clock only when it starts.",
    ),
    Reason.KUBERNETES_FORBIDDEN: _fix(
        "The Kubernetes API forbids a read.", "Grant the verb and resource in the sentence (RBAC)."
    ),
    Reason.KUBERNETES_UNAUTHORIZED: _fix(
        "The Kubernetes API rejects the provider's credentials.", "Renew the ServiceAccount token or kubeconfig."
    ),
    Reason.KUBERNETES_API_MISSING: _fix(
        "The cluster does not serve an API that is needed.", "Install the CRDs named in the sentence."
    ),
    Reason.KUBERNETES_THROTTLED: _wait("The Kubernetes API throttles the provider."),
    Reason.KUBERNETES_TIMEOUT: _wait(
        "The Kubernetes API did not answer in time.", "If it lasts: check network policies and the API server."
    ),
    Reason.KUBERNETES_UNAVAILABLE: _wait(
        "The Kubernetes API cannot be reached or has an error.",
        "If it lasts: check network policies and the API server.",
    ),
    Reason.KUBERNETES_REJECTED: _wait(
        "The Kubernetes API rejects a read as wrong or outdated.", "If it lasts: report it, with the sentence."
    ),
    Reason.KUBERNETES_MALFORMED: _fix("The response is not one of the Kubernetes API.", "Look for a proxy in between."),
    Reason.AWS_FORBIDDEN: _fix("AWS forbids a call.", "Grant the IAM action in the sentence."),
    Reason.AWS_CREDENTIALS: _fix(
        "There are no usable AWS credentials, or a role cannot be assumed.",
        "Give the ServiceAccount a role (EKS Pod Identity or IRSA), or let the role in the sentence trust it. On your "
        "own machine choose a profile (`AWS_PROFILE`) and sign in (`aws sso login`).",
    ),
    Reason.AWS_REGION_MISSING: _fix(
        "A target group is bound by name and no region is configured.", "Set `AWS_REGION`."
    ),
    Reason.AWS_BUDGET: _wait(
        "The provider's call budget for AWS is used up; this Rollout is in the queue for about `retryAfterSeconds`.",
        "Nothing: Argo measures again. If it lasts: raise `PROVIDER_ELBV2_CALLS_PER_SECOND`, within AWS's quota.",
    ),
    Reason.AWS_THROTTLED: _wait(
        "AWS throttles the account's Describe calls.", "If it lasts: find what else calls ELBv2 in this account."
    ),
    Reason.AWS_TIMEOUT: _wait(
        "AWS did not answer in time.", "If it lasts: check the VPC endpoint, NAT and network policies."
    ),
    Reason.AWS_UNAVAILABLE: _wait(
        "AWS cannot be reached or has an error.", "If it lasts: check the VPC endpoint, NAT and AWS's health page."
    ),
    Reason.AWS_REJECTED: _fix(
        "AWS rejects the request itself.", "Read AWS's code in the sentence: often a wrong ARN in a binding."
    ),
    Reason.AWS_MALFORMED: _fix(
        "The response is not one of AWS's API.", "Look for a proxy or a wrong `AWS_ENDPOINT_URL`."
    ),
}
