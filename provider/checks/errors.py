"""Did green answer with 5xx, or the load balancer on its behalf?

Over whole minutes of CloudWatch metrics: Failed when the share of 5xx (and refused connections) in a target group of
the green Service is above `maxErrorPercent`, or their number above `maxErrors`. After the switch the load balancer's
own 5xx are judged in the same way; before it they are reported only, since they may not be green's. With `compare=blue`
green fails only if its share is worse than blue's beyond chance. A minute without data is never read as zero. Minutes
that CloudWatch has not finished can only fail green, and only if they do so whatever is still published.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import Literal, cast

from provider.checks import traffic
from provider.checks.parameters import Parameter
from provider.checks.question import Check, Sources
from provider.checks.strictness import DECIDES, HIGHER, LOWER, Ordered
from provider.checks.traffic import Traffic, count_foreign, load_balancers_of, read_points, read_subjects
from provider.model.answer import Blue, LoadBalancerErrors, Observed, UnfinishedMinutes
from provider.model.reasons import Phase, Reason
from provider.model.records import BlueGreen, Green, Stage, TargetGroup, Topology, Verdict, Window
from provider.rules.counts import GroupCounts, LoadBalancerCounts, count_group, together
from provider.rules.proportions import FEWEST_TO_COMPARE, chance_of_as_many
from provider.rules.unfinished import Bounds, bounds_of_group, bounds_of_load_balancer, bounds_together, chance_at_most
from provider.rules.window import MINUTE
from provider.sources.deadline import Deadline

CAUSES = {
    502: "a target closed the connection or broke the protocol",
    503: "no target available",
    504: "a target was too slow",
}

NAMED_MINUTES = 3
"""Minutes without data that a sentence lists; of more it gives the first and the last."""


class Query(traffic.Query):
    """The parameters of `errors`."""

    max_error_percent: float = Parameter(
        default=1,
        stricter=LOWER,
        ge=0,
        le=100,
        description="Maximum percentage of green's requests that may fail, in each target group.",
    )
    max_errors: int | None = Parameter(
        default=None,
        stricter=LOWER,
        ge=0,
        le=1_000_000_000,
        description="Maximum number of failed requests, in addition to maxErrorPercent. Default: no limit.",
    )
    on_no_data: Literal["inconclusive", "pass", "fail"] = Parameter(
        default="inconclusive",
        stricter=Ordered(("pass", "inconclusive", "fail")),
        description="How to treat minutes without CloudWatch data: inconclusive, pass or fail.",
    )
    compare: Literal["blue"] | None = Parameter(
        default=None,
        stricter=DECIDES,
        description="`blue`: green fails only if its share of 5xx is worse than blue's over the same minutes, beyond "
        "chance (Fisher's exact test, one-sided). Default: blue is reported only.",
    )
    significance: float = Parameter(
        default=0.01,
        stricter=HIGHER,
        gt=0,
        le=0.5,
        description="With `compare`: probability of calling an equally good green worse than blue.",
    )
    unfinished_minutes: Literal["fail", "ignore"] = Parameter(
        default="fail",
        stricter=Ordered(("ignore", "fail")),
        description="Whether minutes that CloudWatch has not finished can fail green: fail (only if their published "
        "failures are too many for twice as many requests as in the busiest recent minute) or ignore. They never pass "
        "it.",
    )
    switch_gap: Literal["fail", "ignore"] = Parameter(
        default="fail",
        stricter=Ordered(("ignore", "fail")),
        description="Whether the load balancer's own 5xx in green's first minute after the switch can fail green: "
        "fail, or ignore (reported only; the gap of a switch without a handover is in it).",
    )


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Traffic:
    """Read the metrics of the newest window for green's and blue's target groups and their load balancers."""
    read = read_subjects(topology, green, query, sources, deadline, unfinished=query.unfinished_minutes == "fail")
    minutes = read.minutes.recent(query.length) if query.unfinished_minutes == "fail" else read.window
    read = read.with_points(*read_points(read.groups, read.blue, minutes, sources, deadline))
    _, judged = _balancer_windows(query, read)
    blamed = [
        balancer.arn for balancer in load_balancers_of(read, judged) if _above(query, balancer.elb_5xx, balancer.total)
    ]
    blamed += [
        arn for arn, bounds in _balancer_bounds(query, read).items() if any(_fails(query, window) for window in bounds)
    ]
    return replace(read, foreign=count_foreign(topology, read, dict.fromkeys(blamed), sources, deadline))


@dataclass(frozen=True, slots=True)
class _Finding:
    """The outcome of one rule."""

    reason: Reason
    sentence: str
    no_data_phase: Phase | None = None
    """What `onNoData` makes of NoData."""

    @property
    def phase(self) -> Phase:
        return self.no_data_phase or self.reason.phase


def judge(query: Query, evidence: Traffic, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Apply every rule; the worst decides, the first of equals. The charted share is the worst group's.

    Unfinished minutes decide only if the finished ones do not fail green. Raises CannotTell (WindowNotOpen).
    """
    early = _judge_unfinished(query, evidence)
    if evidence.not_open:
        if early is None:
            raise evidence.not_open
        finding, bounds = early
        share = percent(bounds.errors, bounds.most_requests or bounds.requests)
        message = f"{finding.sentence}{evidence.green.coverage}"
        return Verdict(finding.phase, finding.reason, message, share, _observed(query, evidence, []))
    counts = [count_group(group, evidence.points, evidence.window) for group in evidence.groups]
    counts.sort(key=lambda count: percent(count.errors, count.total), reverse=True)
    between = str(evidence.window)
    findings = [_judge_group(query, count, between) for count in counts]
    if query.compare == "blue":
        findings = [_compare(query, evidence, findings, counts, between)]
    findings += _judge_balancers(query, evidence)
    findings += [early[0]] if early else []
    worst = max(findings, key=lambda finding: finding.phase.severity)
    share = percent(counts[0].errors, counts[0].total)
    message = f"{worst.sentence}{_reported(query, evidence)}{evidence.green.coverage}"
    return Verdict(worst.phase, worst.reason, message, share, _observed(query, evidence, counts))


def _bounds(query: Query, evidence: Traffic, groups: tuple[TargetGroup, ...]) -> list[list[Bounds]]:
    """Bound the counts of each group in the windows that end with unfinished minutes."""
    if query.unfinished_minutes == "ignore":
        return []
    # A canary's groups take traffic over from each other; in blue-green the production group keeps it.
    is_production = evidence.service.stage is Stage.AFTER_SWITCH and isinstance(
        evidence.green.rollout.strategy, BlueGreen
    )
    return [
        bounds_of_group(group, evidence.points, evidence.minutes, query.length, is_production=is_production)
        for group in groups
    ]


def _balancer_bounds(query: Query, evidence: Traffic) -> dict[str, list[Bounds]]:
    """Bound the 5xx of each load balancer itself, by ARN; after the switch only."""
    if query.unfinished_minutes == "ignore" or evidence.service.stage is Stage.BEFORE_SWITCH:
        return {}
    arns = dict.fromkeys(group.load_balancer_arns[0] for group in evidence.groups)
    return {arn: bounds_of_load_balancer(arn, evidence.points, evidence.minutes, query.length) for arn in arns}


def _fails(query: Query, bounds: Bounds) -> bool:
    return bounds.fails(
        max_error_percent=query.max_error_percent, max_errors=query.max_errors, min_requests=query.min_requests
    )


def _judge_unfinished(query: Query, evidence: Traffic) -> tuple[_Finding, Bounds] | None:
    """Return the first failure that is certain before its minutes are finished, if there is one."""
    groups = _bounds(query, evidence, evidence.groups)
    if query.compare == "blue":
        early = _compare_unfinished(query, evidence, groups)
        if early:
            return early
    else:
        for bounds in (window for group in groups for window in group if _fails(query, window)):
            sentence = _unfinished(query, bounds, f"failed in {bounds.name}")
            return _Finding(Reason.ERRORS_ABOVE_LIMIT, sentence), bounds
    for arn, windows in _balancer_bounds(query, evidence).items():
        for bounds in (window for window in windows if _fails(query, window) and evidence.foreign.get(arn) == 0):
            sentence = _unfinished(query, bounds, f"got 5xx from load balancer {bounds.name} itself")
            return _Finding(Reason.LOAD_BALANCER_ERRORS, sentence), bounds
    return None


def _compare_unfinished(query: Query, evidence: Traffic, groups: list[list[Bounds]]) -> tuple[_Finding, Bounds] | None:
    """Return the first window in which green will be worse than blue even if blue answers nothing from now on."""
    fewest = max(query.min_requests, FEWEST_TO_COMPARE)
    sides = zip(
        bounds_together(groups), bounds_together(_bounds(query, evidence, evidence.blue)), strict=False
    )  # without blue there is nothing to compare with
    for green, blue in sides:
        is_known = not green.is_silent and not blue.is_silent and min(green.requests, blue.requests) >= fewest
        chance = chance_at_most(green, blue) if is_known else 1.0
        if chance < query.significance:
            sentence = (
                f"{_unfinished_counts(green, 'failed')}: worse than blue beyond chance, even if every request to blue "
                f"failed in {_not_finished(green)} (Fisher's exact test, p = {chance:.2g} < {query.significance:g})"
            )
            return _Finding(Reason.WORSE_THAN_BLUE, sentence), green
    return None


def _unfinished(query: Query, bounds: Bounds, how: str) -> str:
    """Say what is known so far of minutes that fail whatever is still published."""
    above = query.max_errors is not None and bounds.errors > query.max_errors
    allowed = f"{query.max_errors}" if above else f"{query.max_error_percent:g} %"
    return f"{_unfinished_counts(bounds, how)}, more than the {allowed} allowed; CloudWatch has not finished " + (
        _not_finished(bounds)
    )


def _unfinished_counts(bounds: Bounds, how: str) -> str:
    of = f"at most {bounds.most_requests}" if bounds.most_requests is not None else f"{bounds.requests} known"
    return f"At least {bounds.errors} of {of} requests {how} {bounds.window}"


def _not_finished(bounds: Bounds) -> str:
    count = bounds.unfinished_minutes
    return "the last minute" if count == 1 else f"the last {count} minutes"


def _judge_group(query: Query, counts: GroupCounts, between: str) -> _Finding:
    """Apply the limits to one target group, in order; the first that fits decides."""
    sentence = _count(counts, between)
    if query.max_errors is not None and counts.errors > query.max_errors:
        return _Finding(Reason.ERRORS_ABOVE_LIMIT, f"{sentence}, more than the {query.max_errors} allowed")
    if counts.silent_minutes:
        return _silence(query, counts)
    if counts.total < query.min_requests:
        least = f"at least {query.min_requests} {'is' if query.min_requests == 1 else 'are'}"
        return _Finding(Reason.TOO_FEW_REQUESTS, f"{sentence}; {least} required (minRequests)")
    if _above_percent(query, counts.errors, counts.total):
        return _Finding(Reason.ERRORS_ABOVE_LIMIT, f"{sentence}, more than the {query.max_error_percent:g} % allowed")
    reason = Reason.ERRORS_WITHIN_LIMIT if counts.total else Reason.NO_REQUESTS
    return _Finding(reason, sentence)


def _count(counts: GroupCounts, between: str) -> str:
    """Say how many requests of how many failed, and in which way."""
    if counts.total == 0:
        return f"No requests reached green in {counts.name} {between}"
    refused = f"{counts.connection_errors} connection error{'' if counts.connection_errors == 1 else 's'}"
    ways = f" ({counts.target_5xx} × 5xx, {refused})" if counts.errors else ""
    share = percent(counts.errors, counts.total)
    return f"{counts.errors} of {counts.total} requests ({share:g} %) failed in {counts.name} {between}{ways}"


def _silence(query: Query, counts: GroupCounts) -> _Finding:
    """Judge minutes without data: `onNoData` decides, and a missing count is never read as zero."""
    phase = {"inconclusive": Phase.INCONCLUSIVE, "pass": Phase.SUCCESSFUL, "fail": Phase.FAILED}[query.on_no_data]
    if phase is Phase.SUCCESSFUL and _above_percent(query, counts.errors, counts.total):
        phase = Phase.INCONCLUSIVE  # the minutes with data already have too many failures
    return _Finding(
        Reason.NO_DATA,
        f"CloudWatch has no data for {counts.name} in {_name_minutes(counts.silent_minutes)}; without it a missing "
        f"count cannot be read as 0 (onNoData={query.on_no_data})",
        phase,
    )


def _name_minutes(minutes: tuple[datetime, ...]) -> str:
    if len(minutes) <= NAMED_MINUTES:
        times = ", ".join(f"{minute:%H:%M}" for minute in minutes)
        return f"{len(minutes)} minute{'' if len(minutes) == 1 else 's'} ({times} UTC)"
    return f"{len(minutes)} minutes ({minutes[0]:%H:%M} to {minutes[-1]:%H:%M} UTC)"


def _compare(
    query: Query, evidence: Traffic, alone: list[_Finding], counts: list[GroupCounts], between: str
) -> _Finding:
    """Compare green's share with blue's over the same minutes, instead of with the limits alone."""
    green, blue = together(counts), _blue(evidence)
    above = any(finding.reason is Reason.ERRORS_ABOVE_LIMIT for finding in alone)
    silent = [count for count in counts if count.silent_minutes]
    if silent:
        finding = _silence(query, silent[0])
        # onNoData=pass accepts a group without data, but not next to another one with too many failures.
        return (
            replace(finding, no_data_phase=Phase.INCONCLUSIVE)
            if above and finding.phase is Phase.SUCCESSFUL
            else finding
        )
    if not evidence.blue:
        return _Finding(
            Reason.NO_BLUE,
            f"{_share('green', green)} {between}; no Service selects blue, so there is nothing to compare with",
        )
    if blue.silent_minutes:
        sentence = f"CloudWatch has no data for blue in {_name_minutes(blue.silent_minutes)}"
        return _Finding(Reason.NO_DATA, f"{_share('green', green)}; {sentence}")
    sentence = f"{_share('green', green)}, {_share('blue', blue)} {between}"
    fewest = max(query.min_requests, FEWEST_TO_COMPARE)
    if min(green.total, blue.total) < fewest:
        return _Finding(Reason.TOO_FEW_REQUESTS, f"{sentence}: a comparison needs {fewest} requests on each side")
    chance = chance_of_as_many(green.errors, green.total, blue.errors, blue.total)
    if chance < query.significance:
        return _Finding(
            Reason.WORSE_THAN_BLUE,
            f"{sentence}: worse than blue beyond chance (Fisher's exact test, "
            f"p = {chance:.2g} < {query.significance:g})",
        )
    sentence += f": not worse than blue beyond chance (p = {chance:.2g})"
    if above:
        return _Finding(Reason.NOT_WORSE_THAN_BLUE, f"{sentence}, but above the limit")
    return _Finding(Reason.ERRORS_WITHIN_LIMIT, sentence)


def _balancer_windows(query: Query, evidence: Traffic) -> tuple[Window, Window]:
    """Split the window: the load balancer's own 5xx are only reported in the first part, and judged in the second."""
    window = evidence.window
    if evidence.service.stage is Stage.BEFORE_SWITCH:
        judged_from = window.end
    elif query.switch_gap == "ignore":
        judged_from = min(max(evidence.minutes.first + MINUTE, window.start), window.end)
    else:
        judged_from = window.start
    return Window(window.start, judged_from), Window(judged_from, window.end)


def _judge_balancers(query: Query, evidence: Traffic) -> list[_Finding]:
    """After the switch a load balancer's own 5xx count against green, unless it also serves other applications."""
    _, judged = _balancer_windows(query, evidence)
    return [_judge_balancer(query, evidence, counts, str(judged)) for counts in load_balancers_of(evidence, judged)]


def _judge_balancer(query: Query, evidence: Traffic, counts: LoadBalancerCounts, between: str) -> _Finding:
    sentence = (
        f"load balancer {counts.name} itself returned 5xx for {counts.elb_5xx} of {counts.total} requests {between}: "
        f"{_codes(counts)}"
    )
    if not _above(query, counts.elb_5xx, counts.total):
        return _Finding(Reason.ERRORS_WITHIN_LIMIT, sentence)
    others = evidence.foreign.get(counts.arn)
    if others == 0:
        return _Finding(Reason.LOAD_BALANCER_ERRORS, sentence)
    return _Finding(
        Reason.LOAD_BALANCER_SHARED,
        f"{sentence}; it also serves {'an unknown number of' if others is None else others} other target groups, so "
        "these may not be green's",
    )


def _above(query: Query, errors: int, total: int) -> bool:
    """Tell whether these failures exceed the query's limits, in number or in percent."""
    if query.max_errors is not None and errors > query.max_errors:
        return True
    return total >= query.min_requests and _above_percent(query, errors, total)


def _above_percent(query: Query, errors: int, total: int) -> bool:
    return errors * 100 > query.max_error_percent * total


def _blue(evidence: Traffic) -> GroupCounts:
    return together(count_group(group, evidence.points, evidence.window) for group in evidence.blue)


def _share(side: str, counts: GroupCounts) -> str:
    return f"{side} failed {counts.errors} of {counts.total} requests ({percent(counts.errors, counts.total):g} %)"


def _codes(counts: LoadBalancerCounts) -> str:
    """Name each status with its count and cause; 5xx that have no metric of their own come last."""
    parts = [f"{number} × HTTP {code} ({CAUSES[code]})" for code, number in counts.by_code if number]
    rest = counts.elb_5xx - sum(number for _, number in counts.by_code)
    return ", ".join([*parts, *([f"{rest} × other 5xx"] if rest > 0 else [])])


def _reported(query: Query, evidence: Traffic) -> str:
    """Report what is not judged: blue's share, and the load balancer's own errors before and at the switch."""
    blue = f"; {_share('blue', _blue(evidence))}" if evidence.blue and query.compare is None else ""
    reported, _ = _balancer_windows(query, evidence)
    noisy = [balancer for balancer in load_balancers_of(evidence, reported) if balancer.elb_5xx]
    return blue + "".join(
        f"; reported only: load balancer {balancer.name} itself returned {_codes(balancer)}" for balancer in noisy
    )


def _observed(query: Query, evidence: Traffic, counts: list[GroupCounts]) -> Observed:
    subject: Observed = {**evidence.green.observed(), **evidence.service.observed()}
    unfinished = _observed_unfinished(evidence) if query.unfinished_minutes == "fail" else None
    if unfinished:
        subject["unfinishedMinutes"] = unfinished
    if evidence.not_open:
        return subject
    green, blue = together(counts), _blue(evidence)
    compared: Blue = {
        "requestCount": blue.total,
        "errorCount": blue.errors,
        "errorPercent": percent(blue.errors, blue.total),
        "pValue": float(f"{chance_of_as_many(green.errors, green.total, blue.errors, blue.total):.2g}"),
    }
    return {
        **subject,
        "windowStart": evidence.window.start.isoformat(),
        "windowEnd": evidence.window.end.isoformat(),
        **({"blue": compared} if evidence.blue else {}),
        "errorsByTargetGroup": [
            {
                "name": count.name,
                "requestCount": count.requests,
                "target5xxCount": count.target_5xx,
                "connectionErrorCount": count.connection_errors,
                "errorPercent": percent(count.errors, count.total),
            }
            for count in counts
        ],
        "loadBalancers": [_shown(counts) for counts in load_balancers_of(evidence, evidence.window)],
    }


def _shown(counts: LoadBalancerCounts) -> LoadBalancerErrors:
    by_code = {f"elb{code}Count": number for code, number in counts.by_code}
    return cast(
        LoadBalancerErrors,
        {"name": counts.name, "requestCount": counts.requests, "elb5xxCount": counts.elb_5xx, **by_code},
    )


def _observed_unfinished(evidence: Traffic) -> UnfinishedMinutes | None:
    """Return what is published so far of the unfinished minutes; None without any."""
    minutes = evidence.minutes
    window = Window(max(minutes.finished, minutes.first), minutes.until)
    if not window.minutes:
        return None
    counts = together(count_group(group, evidence.points, window) for group in evidence.groups)
    return {
        "errorCount": counts.errors,
        "requestCount": counts.requests,
        "windowStart": window.start.isoformat(),
        "windowEnd": window.end.isoformat(),
    }


def percent(part: int, whole: int) -> float:
    """Return a percentage with two decimals, rounded up: 0.0 means not one failure."""
    return ceil(part * 10_000 / whole) / 100 if whole else 0.0


CHECK = Check(
    name="errors",
    about=str(__doc__),
    charts="errorPercent",
    asks_aws=lambda _query: True,
    query=Query,
    gather=gather,
    judge=judge,
)
