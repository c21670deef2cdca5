"""The judge of warm, by table and property, and the whole question against the embedded CloudWatch."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks import warm
from provider.checks.question import parse
from provider.checks.traffic import Traffic
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Kind
from provider.rules.latency import metrics_of, rank_of
from provider.rules.window import Minutes
from tests.records import BLUE_GROUP, GREEN_GROUP, NOW, WINDOW, evidence
from tests.world.aws.moto_cloudwatch import Times
from tests.world.cluster import objects

WAIT, GO = Phase.INCONCLUSIVE, Phase.SUCCESSFUL
LIMIT = 0.15
"""1.5 times blue's 95th percentile of 0.1 s."""


def measured(slow, of, *, blue=1000, p95=0.1, ranked=True):
    """All of green's requests in the first minute of the window, of which so many are slower than the limit."""
    (green_count, green_p95), (blue_count, blue_p95) = metrics_of(GREEN_GROUP), metrics_of(BLUE_GROUP)
    first = WINDOW.start
    points = {green_count: {first: float(of)}, green_p95: {first: 0.2}} if of else {}
    if blue:
        points |= {blue_count: {first: float(blue)}, blue_p95: {first: p95}}
    if ranked and of:
        points[rank_of(GREEN_GROUP, LIMIT)] = {first: 100 * (of - slow) / of}
    base = evidence()
    read_at = {Kind.METRICS: NOW}
    minutes = Minutes(WINDOW.start, WINDOW.end, WINDOW.end)
    traffic = Traffic(base.green, base.service, WINDOW, (GREEN_GROUP,), (BLUE_GROUP,), read_at, minutes, points)
    return warm.Evidence(traffic, LIMIT if blue else 0.0)


def verdict(found, **parameters):
    fields = {"namespace": "shop", "rollout": "web"} | {name: str(value) for name, value in parameters.items()}
    return warm.CHECK.judge(parse(warm.CHECK, fields.items()), found, NOW)


@pytest.mark.parametrize(
    ("found", "parameters", "phase", "reason"),
    [
        (measured(0, 100), {}, GO, Reason.GREEN_WARM),
        (measured(1, 100), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(0, 99), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(30, 1000), {}, GO, Reason.GREEN_WARM),
        (measured(45, 1000), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(50, 1000), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(51, 1000), {}, WAIT, Reason.GREEN_COLD),
        (measured(1000, 1000), {}, WAIT, Reason.GREEN_COLD),
        (measured(0, 1000, blue=99), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(0, 1000, blue=0), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(0, 0), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(0, 999), {"minRequests": 1000}, WAIT, Reason.TOO_FEW_REQUESTS),
        (measured(0, 1000, ranked=False), {}, WAIT, Reason.NO_DATA),
    ],
)
def test_the_limits_at_and_around_their_boundaries(found, parameters, phase, reason):
    """Green is warm once its requests show that at most 5 % are slow; with less it waits and says why."""
    said = verdict(found, **parameters)

    assert (said.phase, said.reason) == (phase, reason)


def test_the_sentence_has_the_numbers():
    """The sentence gives the share, the limit in seconds and where it comes from, and the minutes."""
    assert verdict(measured(300, 1000)).message == (
        "30.0 % of green's 1000 requests took longer than 0.15 s, 1.5 times blue's 95th percentile, between 11:55 and "
        "11:58 UTC; at most 5 % may: green is cold"
    )
    assert verdict(measured(300, 1000)).number == 2.0


@given(st.integers(1, 20_000), st.data())
def test_a_slower_green_is_never_warmer(of, data):
    """One slow request more never makes a pass of a wait, and a pass always has at most 5 % of them."""
    slow = data.draw(st.integers(0, of - 1))
    before, after = verdict(measured(slow, of)), verdict(measured(slow + 1, of))

    assert not (before.phase is WAIT and after.phase is GO)
    assert before.phase is WAIT or slow <= 0.05 * of


@pytest.mark.parametrize("value", [-1.0, 100.5, float("nan")])
def test_a_rank_that_is_none_is_malformed(value):
    """A percentile rank outside of 0 to 100 is refused, not rounded."""
    found = measured(0, 1000)
    found.traffic.points[rank_of(GREEN_GROUP, LIMIT)][WINDOW.start] = value

    with pytest.raises(CannotTell, match="not a percentage"):
        verdict(found)


def minutes():
    """The minutes of the window, and some before and after: the next minute may begin before the question is asked."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return [now + timedelta(minutes=number) for number in range(-8, 4)]


@pytest.mark.parametrize(
    ("green", "reason"),
    [
        (Times(((0.02, 950), (0.1, 50))), "GreenWarm"),
        (Times(((0.02, 100), (0.4, 100))), "GreenCold"),
        (Times(((0.02, 30),)), "TooFewRequests"),
    ],
)
def test_green_is_measured_by_blue(world, scene, client, green, reason):
    """Blue's 95th percentile is asked for first, and then how many of green's requests took longer; one call each."""
    balancer, blue = world.aws.load_balancer(), world.aws.target_group("blue")
    scene.put(objects.target_group_binding("blue", service="web-active", arn=blue))
    for group, times in ((blue, Times(((0.02, 9000), (0.08, 1000)))), (scene.arn, green)):
        world.aws.publish(balancer, group, "TargetResponseTime", dict.fromkeys(minutes(), times))
    world.aws.faults.forget_calls()

    answer = client.get("/v1/warm?namespace=shop&rollout=web").get_json()

    assert answer["reason"] == reason, answer
    assert answer["observed"]["blue"] == {"requestCount": 30000, "p95Seconds": 0.08}
    assert answer["observed"]["limitSeconds"] == 0.12
    assert [call.name for call in world.aws.calls].count("GetMetricData") == 2


def test_without_blue_there_is_no_measure(scene, client):
    """On a first deploy there is nothing to compare with: a person must leave the check out."""
    scene.rollout["status"]["stableRS"] = ""
    scene.put()

    answer = client.get("/v1/warm?namespace=shop&rollout=web").get_json()

    assert (answer["reason"], answer["observed"]["action"]) == ("NoBlue", "fix")


@pytest.mark.usefixtures("scene")
def test_the_gate_makes_it_only_if_asked(client):
    """Without `checks` the gate does not judge response times; with `warm` among them it does."""
    default, named = (
        client.get(f"/v1/gate?namespace=shop&rollout=web{more}").get_json()["observed"]["checks"]
        for more in ("", "&checks=replicas,target-health,warm")
    )

    assert "warm" not in str(default)
    assert "warm" in str(named)
