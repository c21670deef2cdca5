"""Is green as fast as blue, or still cold?

Over whole minutes of CloudWatch's TargetResponseTime, before the switch: Successful when green's 95th percentile is at
most `maxLatencyFactor` times blue's, with a probability of error of at most 1 %. Inconclusive otherwise. Requests warm
green, such as those of `alb-provider warm-up`. A gate makes this check only if `checks` names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from provider.checks import traffic
from provider.checks.parameters import Parameter
from provider.checks.question import Check, Sources
from provider.checks.strictness import LOWER
from provider.checks.traffic import Traffic, read_metrics, read_subjects
from provider.model.answer import Observed
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Green, Kind, Topology, Verdict
from provider.rules.latency import SLOWEST_SHARE, Latency, Slow, are_few, latency, metrics_of, rank_of, slow
from provider.rules.proportions import FEWEST_TO_COMPARE
from provider.sources.deadline import Deadline


class Query(traffic.Query):
    """The parameters of `warm`."""

    max_latency_factor: float = Parameter(
        default=1.5,
        stricter=LOWER,
        ge=1,
        le=100,
        description="`warm`: maximum 95th percentile of green, as a multiple of blue's.",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The points of the response times; `limit_seconds` is 0 if blue has no percentile."""

    traffic: Traffic
    limit_seconds: float

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        return self.traffic.read_at


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Evidence:
    """Read blue's 95th percentile, and then how many of green's requests were slower. Raises CannotTell (NoBlue)."""
    subjects = read_subjects(topology, green, query, sources, deadline)
    if not subjects.blue:
        raise CannotTell(
            Reason.NO_BLUE,
            f"No Service of Rollout {green.rollout.name} selects blue, so there is nothing to compare green's response "
            "times with",
        )
    first = [(group, metrics_of(group)) for group in (*subjects.groups, *subjects.blue)]
    subjects = subjects.with_points(*read_metrics(first, subjects.window, sources, deadline))
    blue = latency(subjects.blue, subjects.points, subjects.window)
    limit = query.max_latency_factor * blue.p95 if blue.p95 is not None else 0.0
    if limit:
        ranks = [(group, [rank_of(group, limit)]) for group in subjects.groups]
        subjects = subjects.with_points(*read_metrics(ranks, subjects.window, sources, deadline))
    return Evidence(subjects, limit)


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Apply the rules in order; the first that fits decides. The charted number is green's percentile over blue's."""
    subjects, points, window = evidence.traffic, evidence.traffic.points, evidence.traffic.window
    green, blue = latency(subjects.groups, points, window), latency(subjects.blue, points, window)
    slower = slow(subjects.groups, evidence.limit_seconds, points, window)
    ratio = round(green.p95 / blue.p95, 2) if green.p95 is not None and blue.p95 else 0.0
    reason, sentence = _decide(query, evidence.limit_seconds, (green, blue, slower), str(window))
    observed: Observed = {
        **subjects.green.observed(),
        **subjects.service.observed(),
        "windowStart": window.start.isoformat(),
        "windowEnd": window.end.isoformat(),
        "latency": {"requestCount": green.requests, "slowCount": slower.count},
        "blue": {"requestCount": blue.requests},
        "limitSeconds": round(evidence.limit_seconds, 6),
        "latencyRatio": ratio,
    }
    if green.p95 is not None:
        observed["latency"]["p95Seconds"] = green.p95
    if blue.p95 is not None:
        observed["blue"]["p95Seconds"] = blue.p95
    return Verdict(reason.phase, reason, f"{sentence}{subjects.green.coverage}", ratio, observed)


def _decide(
    query: Query, limit_seconds: float, measured: tuple[Latency, Latency, Slow], between: str
) -> tuple[Reason, str]:
    green, blue, slower = measured
    fewest = max(query.min_requests, FEWEST_TO_COMPARE)
    if min(green.requests, blue.requests) < fewest:
        counts = f"Green answered {green.requests} requests and blue {blue.requests} {between}"
        return Reason.TOO_FEW_REQUESTS, f"{counts}: a comparison needs {fewest} on each side"
    if slower.unranked or not limit_seconds:
        return (
            Reason.NO_DATA,
            f"CloudWatch does not tell how many of green's {green.requests} requests were slow {between}",
        )
    share = 100 * slower.count / slower.requests
    sentence = (
        f"{share:.1f} % of green's {slower.requests} requests took longer than {limit_seconds:.3g} s, "
        f"{query.max_latency_factor:g} times blue's 95th percentile, {between}"
    )
    if are_few(slower.count, slower.requests):
        return Reason.GREEN_WARM, sentence
    if slower.count > SLOWEST_SHARE * slower.requests:
        return Reason.GREEN_COLD, f"{sentence}; at most 5 % may: green is cold"
    return Reason.TOO_FEW_REQUESTS, f"{sentence}; {slower.requests} requests are too few to tell that from 5 %"


CHECK = Check(
    name="warm",
    about=str(__doc__),
    charts="latencyRatio",
    asks_aws=lambda _query: True,
    query=Query,
    gather=gather,
    judge=judge,
    by_default=False,
)
