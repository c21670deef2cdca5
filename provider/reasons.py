"""Every reason an answer can have, with what it means and what to do: the closed list of `reason` in an answer.

The table is the documentation: README, `/openapi.json` and the tests read it. A reason is never renamed, since people
alert on it; add a member and its row instead.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an answer has its phase, in one CamelCase word."""

    # Go.
    TARGETS_HEALTHY = "TargetsHealthy"
    REPLICAS_AVAILABLE = "ReplicasAvailable"
    ERRORS_WITHIN_LIMIT = "ErrorsWithinLimit"
    NO_REQUESTS = "NoRequests"
    ALL_CHECKS_PASSED = "AllChecksPassed"
    # Green is bad.
    TARGETS_UNHEALTHY = "TargetsUnhealthy"
    ERRORS_ABOVE_LIMIT = "ErrorsAboveLimit"
    LOAD_BALANCER_ERRORS = "LoadBalancerErrors"
    WORSE_THAN_BLUE = "WorseThanBlue"
    # Wait: asking again later is enough.
    TARGETS_INITIAL = "TargetsInitial"
    TARGETS_MISSING = "TargetsMissing"
    TARGETS_DRAINING = "TargetsDraining"
    TARGETS_UNHEALTHY_IN_GRACE = "TargetsUnhealthyInGrace"
    TARGETS_UNAVAILABLE = "TargetsUnavailable"
    PODS_NOT_READY = "PodsNotReady"
    REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
    NO_PODS = "NoPods"
    ROLLOUT_NOT_OBSERVED = "RolloutNotObserved"
    REPLICA_SET_NOT_OBSERVED = "ReplicaSetNotObserved"
    REPLICA_SET_NOT_FOUND = "ReplicaSetNotFound"
    SERVICE_NOT_SWITCHED = "ServiceNotSwitched"
    # Blocked: somebody must change something, or the question is out of date.
    WINDOW_NOT_OPEN = "WindowNotOpen"
    NO_DATA = "NoData"
    TOO_FEW_REQUESTS = "TooFewRequests"
    NOT_WORSE_THAN_BLUE = "NotWorseThanBlue"
    NO_BLUE = "NoBlue"
    LOAD_BALANCER_SHARED = "LoadBalancerShared"
    SELECTOR_AGE_UNKNOWN = "SelectorAgeUnknown"
    SUPERSEDED = "Superseded"
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
    TARGETS_UNUSED = "TargetsUnused"
    # We could not look.
    METRICS_INCOMPLETE = "MetricsIncomplete"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    STALE_EVIDENCE = "StaleEvidence"
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


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the documentation of a reason."""

    phase: str
    meaning: str
    todo: str


_GO, _BAD, _WAIT = "Successful", "Failed", "Inconclusive"
_ASK_AGAIN = "Nothing: Argo asks again."

MEANINGS: dict[Reason, Meaning] = {
    Reason.TARGETS_HEALTHY: Meaning(
        _GO, "Enough of green's pods are healthy targets in every target group of the green Service.", "Nothing."
    ),
    Reason.REPLICAS_AVAILABLE: Meaning(_GO, "The green ReplicaSet has every replica it wants available.", "Nothing."),
    Reason.ERRORS_WITHIN_LIMIT: Meaning(_GO, "Green's share of 5xx is within the limits.", "Nothing."),
    Reason.NO_REQUESTS: Meaning(
        _GO,
        "No request reached green in the window, so none failed.",
        "Set `minRequests` if green must have answered before it may pass.",
    ),
    Reason.ALL_CHECKS_PASSED: Meaning(_GO, "Every check of the gate is Successful.", "Nothing."),
    Reason.TARGETS_UNHEALTHY: Meaning(
        _BAD,
        "So many targets are `unhealthy`, for longer than the grace, that `minHealthyPercent` is out of reach.",
        "Read AWS's reason code in the sentence: the health check's path, port, matcher or timeout, or the pod.",
    ),
    Reason.ERRORS_ABOVE_LIMIT: Meaning(
        _BAD, "More of green's answers were 5xx than `maxErrorPercent` or `maxErrors` allow.", "Read green's own logs."
    ),
    Reason.LOAD_BALANCER_ERRORS: Meaning(
        _BAD,
        "After the switch the load balancer, which serves this Rollout only, itself answered too many 5xx.",
        "502: green closes connections or breaks the protocol; 503: no target takes requests; 504: green is too slow.",
    ),
    Reason.WORSE_THAN_BLUE: Meaning(
        _BAD, "Green's share of 5xx is greater than blue's beyond chance (`compare=blue`).", "Read green's own logs."
    ),
    Reason.TARGETS_INITIAL: Meaning(_WAIT, "Targets are being registered or await their first check.", _ASK_AGAIN),
    Reason.TARGETS_MISSING: Meaning(
        _WAIT,
        "Pods that green should have are not registered: not created, without an IP, or not registered yet.",
        "If it lasts: the pods' events, then the load balancer controller's log.",
    ),
    Reason.TARGETS_DRAINING: Meaning(
        _WAIT, "Green's targets are being deregistered.", "If it lasts: what removes green from the Service?"
    ),
    Reason.TARGETS_UNHEALTHY_IN_GRACE: Meaning(
        _WAIT,
        "Targets are `unhealthy`, which proves nothing against green (yet): its pods are too young or not ready, the "
        "fault is the load balancer's own, or a node stands for anybody's pods.",
        _ASK_AGAIN,
    ),
    Reason.TARGETS_UNAVAILABLE: Meaning(
        _WAIT, "The load balancer has no health information for targets.", "Turn the group's health check on."
    ),
    Reason.PODS_NOT_READY: Meaning(
        _WAIT, "Instance targets: too few green pods are ready behind the nodes.", "If it lasts: the pods' events."
    ),
    Reason.REPLICAS_UNAVAILABLE: Meaning(
        _WAIT, "The green ReplicaSet has fewer replicas available than it wants.", "If it lasts: the pods' events."
    ),
    Reason.NO_PODS: Meaning(
        _WAIT, "The green ReplicaSet wants zero replicas: scaling up has not begun, or it was aborted.", _ASK_AGAIN
    ),
    Reason.ROLLOUT_NOT_OBSERVED: Meaning(
        _WAIT, "Argo has not acted on the newest Rollout yet, so its status names an old green.", _ASK_AGAIN
    ),
    Reason.REPLICA_SET_NOT_OBSERVED: Meaning(
        _WAIT, "Kubernetes has not acted on the newest green ReplicaSet yet.", _ASK_AGAIN
    ),
    Reason.REPLICA_SET_NOT_FOUND: Meaning(
        _WAIT, "The Rollout has no ReplicaSet of its current pod template hash (yet).", _ASK_AGAIN
    ),
    Reason.SERVICE_NOT_SWITCHED: Meaning(
        _WAIT, "The Service to be judged does not select green's pods (yet).", "If it lasts: the Rollout's status."
    ),
    Reason.WINDOW_NOT_OPEN: Meaning(
        _WAIT, "Green has not served for one whole minute that CloudWatch has complete metrics of.", _ASK_AGAIN
    ),
    Reason.NO_DATA: Meaning(
        _WAIT,
        "CloudWatch has nothing about some minutes of the window, so a missing count is not known to be 0.",
        "If it lasts: does the load balancer get any request? `onNoData` decides what silence means.",
    ),
    Reason.TOO_FEW_REQUESTS: Meaning(
        _WAIT,
        "Fewer requests than `minRequests`, or than a comparison needs.",
        "Send green requests, or ask for fewer.",
    ),
    Reason.NOT_WORSE_THAN_BLUE: Meaning(
        _WAIT,
        "Green's share of 5xx is above the limit, but not worse than blue's beyond chance: both may share a cause.",
        "Look for what both versions depend on.",
    ),
    Reason.NO_BLUE: Meaning(
        _WAIT,
        "`compare=blue`, but no Service of the Rollout selects blue now.",
        "Compare before the switch only, or leave `compare` out.",
    ),
    Reason.LOAD_BALANCER_SHARED: Meaning(
        _WAIT,
        "The load balancer itself answered too many 5xx, but it also serves target groups of others.",
        "Look which of them it was; these counts cannot be pinned on green.",
    ),
    Reason.SELECTOR_AGE_UNKNOWN: Meaning(
        _WAIT,
        "The green Service does not say when its selector was written, so nobody knows since when green serves.",
        "Keep `managedFields` on the Service.",
    ),
    Reason.SUPERSEDED: Meaning(
        _WAIT, "`podTemplateHash` is not the current green any more.", "Nothing: Argo ends this analysis itself."
    ),
    Reason.NO_PREVIEW_SERVICE: Meaning(
        _WAIT,
        "A blue-green Rollout without `previewService`: before the switch green is in no target group.",
        "Add a `previewService` and give it a listener rule, or ask only after the switch.",
    ),
    Reason.NO_STRATEGY_SERVICE: Meaning(
        _WAIT,
        "The canary strategy names no Service for green.",
        "Set `canaryService` and `stableService`, or `pingPong`, in the strategy.",
    ),
    Reason.SERVICE_NOT_IN_STRATEGY: Meaning(
        _WAIT, "`service` is none of the Rollout's own strategy Services.", "Name one of those in the sentence."
    ),
    Reason.SERVICE_NOT_FOUND: Meaning(
        _WAIT, "The green Service does not exist.", "Create it, or correct the name in the strategy."
    ),
    Reason.SERVICE_PORT_NOT_FOUND: Meaning(
        _WAIT,
        "A TargetGroupBinding names a port that its Service does not have; the controller then empties the group.",
        "Correct `serviceRef.port` or the Service's ports.",
    ),
    Reason.NO_BINDING: Meaning(
        _WAIT,
        "No TargetGroupBinding names the green Service, so no load balancer checks green.",
        "Let an Ingress, Gateway or TargetGroupBinding use that Service.",
    ),
    Reason.BINDING_NEEDS_ROLE: Meaning(
        _WAIT,
        "A TargetGroupBinding is in another account (`iamRoleArnToAssume`); this provider assumes no roles.",
        "Judge a Service whose target groups are in the provider's own account.",
    ),
    Reason.TARGET_GROUP_NOT_FOUND: Meaning(
        _WAIT, "AWS does not know the target group.", "Correct the binding, or the account the provider runs in."
    ),
    Reason.TARGET_GROUP_NOT_IN_USE: Meaning(
        _WAIT,
        "The target group is in no listener rule, so the load balancer never checks it.",
        "Add a listener rule that forwards to it; weight 0, or a host only you know, is enough.",
    ),
    Reason.TARGET_TYPE_UNSUPPORTED: Meaning(
        _WAIT, "The target group has neither `ip` nor `instance` targets.", "Use one of these target types."
    ),
    Reason.TARGETS_UNUSED: Meaning(
        _WAIT,
        "Registered targets get no traffic and no checks: their zone is not enabled, or the address is not usable.",
        "Enable the pods' availability zones on the load balancer.",
    ),
    Reason.METRICS_INCOMPLETE: Meaning(_WAIT, "CloudWatch gave only a part of a metric.", _ASK_AGAIN),
    Reason.DEADLINE_EXCEEDED: Meaning(
        _WAIT, "The time budget of one question ran out; the sentence names the read.", "If it lasts: that system."
    ),
    Reason.STALE_EVIDENCE: Meaning(
        _WAIT, "Evidence was older when judged than it is fresh plus the time of one question.", _ASK_AGAIN
    ),
    Reason.KUBERNETES_FORBIDDEN: Meaning(
        _WAIT, "The Kubernetes API forbids a read.", "Grant the verb and resource in the sentence (RBAC)."
    ),
    Reason.KUBERNETES_UNAUTHORIZED: Meaning(
        _WAIT, "The Kubernetes API rejects the provider's credentials.", "Renew the ServiceAccount or kubeconfig."
    ),
    Reason.KUBERNETES_API_MISSING: Meaning(
        _WAIT, "The cluster does not serve an API that is needed.", "Install the CRDs named in the sentence."
    ),
    Reason.KUBERNETES_THROTTLED: Meaning(_WAIT, "The Kubernetes API asks for fewer requests.", _ASK_AGAIN),
    Reason.KUBERNETES_TIMEOUT: Meaning(
        _WAIT, "The Kubernetes API did not answer in time.", "If it lasts: network policy, API server."
    ),
    Reason.KUBERNETES_UNAVAILABLE: Meaning(
        _WAIT, "The Kubernetes API cannot be reached or has an error.", "If it lasts: network policy, API server."
    ),
    Reason.KUBERNETES_REJECTED: Meaning(
        _WAIT, "The Kubernetes API refuses a read as wrong or outdated.", "If it lasts: report it, with the sentence."
    ),
    Reason.KUBERNETES_MALFORMED: Meaning(
        _WAIT, "The Kubernetes API's answer is not what its schema promises.", "Look for a proxy in between."
    ),
    Reason.AWS_FORBIDDEN: Meaning(_WAIT, "AWS forbids a read.", "Grant the IAM action in the sentence."),
    Reason.AWS_CREDENTIALS: Meaning(
        _WAIT,
        "There are no usable AWS credentials.",
        "Give the ServiceAccount a role (EKS Pod Identity or IRSA), or renew the credentials.",
    ),
    Reason.AWS_REGION_MISSING: Meaning(
        _WAIT, "A target group is bound by name and no region is configured.", "Set `AWS_REGION`."
    ),
    Reason.AWS_BUDGET: Meaning(
        _WAIT,
        "The AWS calls that are the provider's to make are used by other Rollouts; this one stands in line, and "
        "`retryAfterSeconds` says for about how long.",
        "Nothing: Argo asks again. If it lasts: `PROVIDER_ELBV2_CALLS_PER_SECOND`, and AWS's quota for the account.",
    ),
    Reason.AWS_THROTTLED: Meaning(
        _WAIT, "AWS throttles the account's Describe calls.", "If it lasts: who else calls ELBv2 in this account?"
    ),
    Reason.AWS_TIMEOUT: Meaning(
        _WAIT, "AWS did not answer in time.", "If it lasts: VPC endpoint, NAT, network policy."
    ),
    Reason.AWS_UNAVAILABLE: Meaning(
        _WAIT, "AWS cannot be reached or has an error.", "If it lasts: VPC endpoint, NAT, AWS health page."
    ),
    Reason.AWS_REJECTED: Meaning(
        _WAIT, "AWS refuses the request itself.", "Read AWS's code in the sentence: often a wrong ARN in a binding."
    ),
    Reason.AWS_MALFORMED: Meaning(
        _WAIT, "AWS's answer is not what its API promises.", "Look for a proxy or a wrong `AWS_ENDPOINT_URL`."
    ),
}
