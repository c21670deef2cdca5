"""Plays a switch in steps of a tenth of a second, and counts what users get."""

from dataclasses import dataclass

from provider.advice.simulation.production import Production
from provider.advice.simulation.situation import Green, Situation, Strategy

STEP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What users got: failed requests (5xx of the load balancer and of pods), the longest hole, the worst latency.

    A hole is a time in which no target served traffic for some of the users. `refused` says why Argo did not switch at
    all; then blue served throughout. `failures` are the failed requests of each second.
    """

    situation: Situation
    requests: float
    failed: float
    longest_hole_seconds: float
    worst_latency_seconds: float
    failures: tuple[float, ...]
    refused: str = ""


def run(situation: Situation) -> Outcome:
    """Play one switch."""
    refused = refusal(situation)
    if refused:
        everything = situation.requests_per_second * situation.lasts_seconds
        seconds = int(situation.lasts_seconds)
        return Outcome(situation, everything, 0.0, 0.0, 0.02, (0.0,) * seconds, refused)
    production, failed, hole, longest, worst = Production(situation), 0.0, 0.0, 0.0, 0.0
    failures = [0.0] * int(situation.lasts_seconds)
    for step in range(round(situation.lasts_seconds / STEP_SECONDS)):
        production.advance(step * STEP_SECONDS)
        requests, lost, is_empty = situation.requests_per_second * STEP_SECONDS, 0.0, False
        for weight, pods in production.targets():
            if not pods:
                lost += requests * weight
                is_empty = True
                continue
            for pod in pods:
                bad, latency = pod.serve(requests * weight / len(pods), STEP_SECONDS, situation.most_queued_per_pod)
                lost += bad
                worst = max(worst, latency)
        hole = hole + STEP_SECONDS if is_empty else 0.0
        longest = max(longest, hole)
        failed += lost
        failures[int(step * STEP_SECONDS)] += lost
    return Outcome(
        situation=situation,
        requests=situation.requests_per_second * situation.lasts_seconds,
        failed=failed,
        longest_hole_seconds=round(longest, 1),
        worst_latency_seconds=worst,
        failures=tuple(failures),
    )


def refusal(situation: Situation) -> str:
    """Return why a gate keeps Argo from switching; empty if it does not.

    Sick pods are unhealthy targets in every strategy that has pods as targets. With instance targets nodes are judged,
    which pass. Slow answers and 5xx are seen only once green has requests: nothing refuses them before the switch.
    """
    if situation.is_gated and situation.green is Green.SICK and situation.strategy is not Strategy.INSTANCE:
        return "aborted: the gate failed green"
    return ""
