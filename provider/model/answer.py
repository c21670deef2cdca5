"""The answer to a query, as it is on the wire: what OpenAPI, the command line, the page and the history read.

Every key of `observed` is declared here, with its unit in its name. A key that does not apply is left out; nothing is
null. provider/checks/body.py cuts an answer to 2 KiB.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, TypeVar, cast

from msgspec import Meta

from provider.model.reasons import Phase, Reason

_Shown = TypeVar("_Shown", bound=Mapping[str, Any])


def applicable(shown: _Shown) -> _Shown:
    """Leave out what does not apply: every value that is empty, zero, false or None."""
    return cast(_Shown, {key: value for key, value in shown.items() if value})


class Subject(TypedDict, total=False):
    """Which version an answer is about, and which Service's target groups were judged."""

    podTemplateHash: Annotated[str, Meta(description="Green's hash.")]
    replicaSet: Annotated[str, Meta(description="Green's ReplicaSet.")]
    desiredCount: Annotated[int, Meta(description="Replicas that it should have.")]
    service: Annotated[str, Meta(description="The Service whose target groups were judged.")]
    stage: Annotated[str, Meta(description="`BeforeSwitch` or `AfterSwitch`.")]


class TargetGroupHealth(TypedDict, total=False):
    """The targets of one target group that are green's, by state; states that none is in are left out."""

    name: str
    healthyPercent: float
    healthyCount: int
    initialCount: int
    missingCount: int
    drainingCount: int
    unknownCount: int
    unavailableCount: int
    unhealthyCount: int
    unusedCount: int
    anomalousCount: int
    shiftedAwayCount: int
    registeredCount: Annotated[int, Meta(description="Green's targets in a production group (handover).")]
    otherHealthyCount: Annotated[int, Meta(description="Healthy targets there that are not green's (handover).")]
    greenPercent: Annotated[float, Meta(description="Green's share of the healthy targets there (handover).")]


class ExampleTarget(TypedDict, total=False):
    """A target that is not healthy, or anomalous."""

    name: str
    state: str
    address: str
    port: int
    awsReason: str
    description: str
    anomalous: bool
    override: Annotated[str, Meta(description="Why its zone gets no traffic, in AWS's words.")]


class PodNotReady(TypedDict, total=False):
    """A pod that should be ready and is not, and the container that says why."""

    name: str
    state: str
    restartCount: int
    container: str


class TargetGroupErrors(TypedDict):
    """Requests and failures of one target group in the window."""

    name: str
    requestCount: int
    target5xxCount: int
    connectionErrorCount: int
    errorPercent: float


class LoadBalancerErrors(TypedDict, total=False):
    """5xx that a load balancer itself returned in the window, for all of its target groups."""

    name: str
    requestCount: int
    elb5xxCount: int
    elb502Count: int
    elb503Count: int
    elb504Count: int


class Blue(TypedDict, total=False):
    """Blue in the same window, for comparison."""

    requestCount: int
    errorCount: int
    errorPercent: float
    pValue: Annotated[float, Meta(description="Chance of green's failures if it were as good as blue.")]
    p95Seconds: float


class UnfinishedMinutes(TypedDict):
    """What CloudWatch has published so far of minutes that are not finished, of green's target groups together."""

    errorCount: int
    requestCount: int
    windowStart: str
    windowEnd: str


class Latency(TypedDict, total=False):
    """Green's response times in the window."""

    requestCount: int
    p95Seconds: float
    slowCount: Annotated[int, Meta(description="Requests above `limitSeconds`.")]


class CheckOutcome(TypedDict):
    """The outcome of one check of the gate."""

    check: str
    phase: str
    reason: str


class RolloutState(TypedDict, total=False):
    """What Argo is doing with the Rollout."""

    phase: str
    message: str
    abortedAt: Annotated[str, Meta(description="A time, or `unknown`.")]
    pauses: list[str]
    fullPromotion: bool
    fastRollback: bool
    step: Annotated[str, Meta(description="`2 of 6`, counted from 0 as Argo does.")]


class UngatedSwitch(TypedDict):
    """A version that serves production without a pass of this replica."""

    podTemplateHash: str
    seenAt: str


class LastSwitch(TypedDict, total=False):
    """How the last switch went after a handover."""

    podTemplateHash: str
    switchedAt: str
    secondsUntilHealthy: float
    leastHealthyCount: int
    resetCount: int


class LeftBehind(TypedDict, total=False):
    """Targets of a handover that are still to be taken out of production."""

    count: int
    why: str
    targetGroups: list[str]


class Observed(Subject, total=False):
    """The numbers and the evidence that decided."""

    action: Annotated[
        str,
        Meta(description="`wait` if time alone can make it pass, `fix` if a person must act, `none` if it is decided."),
    ]
    evidenceAgeSeconds: Annotated[
        dict[str, float],
        Meta(
            description="Age of the oldest evidence of each kind (`pods`: if green's pods were listed before the rest)."
        ),
    ]
    evidenceJudgedAt: Annotated[str, Meta(description="When it was judged.")]
    clockSkewSeconds: Annotated[
        dict[str, float],
        Meta(description="By system, if its clock is more than 5 s ahead of the provider's (negative: behind)."),
    ]
    retryAfterSeconds: Annotated[int, Meta(description="When the call budget has a turn for this Rollout, about.")]
    rollout: Annotated[RolloutState, Meta(description="What Argo is doing.")]
    checks: Annotated[list[CheckOutcome], Meta(description="One line for each check of the gate.")]
    availableCount: Annotated[int, Meta(description="Available replicas of green.")]
    targetGroups: Annotated[list[TargetGroupHealth], Meta(description="Green's targets, the worst group first.")]
    examples: Annotated[list[ExampleTarget], Meta(description="Up to five targets that explain the answer.")]
    podsNotReady: Annotated[list[PodNotReady], Meta(description="A few pods that should be ready and are not.")]
    uncheckedTargetGroups: Annotated[
        list[str],
        Meta(
            description="In a pass before the switch: up to five target groups of production's Service that no check "
            "before the switch covers."
        ),
    ]
    windowStart: Annotated[str, Meta(description="Begin of the minutes whose metrics were judged.")]
    windowEnd: Annotated[str, Meta(description="Their end.")]
    errorsByTargetGroup: Annotated[list[TargetGroupErrors], Meta(description="The worst group first.")]
    loadBalancers: Annotated[list[LoadBalancerErrors], Meta(description="What load balancers themselves returned.")]
    unfinishedMinutes: Annotated[UnfinishedMinutes, Meta(description="Newer minutes, which can only fail green.")]
    blue: Annotated[Blue, Meta(description="Blue in the same minutes.")]
    latency: Annotated[Latency, Meta(description="Green's response times (`warm`).")]
    limitSeconds: Annotated[float, Meta(description="`maxLatencyFactor` times blue's 95th percentile.")]
    latencyRatio: Annotated[float, Meta(description="Green's 95th percentile over blue's.")]
    ungatedSwitch: Annotated[
        UngatedSwitch, Meta(description="While production serves a version that this replica never passed.")
    ]
    handoverSeconds: Annotated[float, Meta(description="How long the handover has lasted.")]
    lastSwitch: Annotated[LastSwitch, Meta(description="How the last switch after a handover went.")]
    leftBehind: Annotated[LeftBehind, Meta(description="What a handover has still to take out.")]


class Answer(TypedDict):
    """The answer to a query."""

    measurement: Annotated[
        tuple[float, Phase, str],
        Meta(description="[number, phase, message], for jsonPath {$.measurement} of an AnalysisTemplate."),
    ]
    message: Annotated[str, Meta(description="One sentence with the numbers, the worst first.")]
    observed: Annotated[Observed, Meta(description="The numbers and the evidence that decided.")]
    phase: Annotated[
        Phase, Meta(description="Successful: continue. Failed: green is bad. Inconclusive: wait, or it cannot be told.")
    ]
    reason: Annotated[Reason, Meta(description="Why: one word of a closed list.")]
