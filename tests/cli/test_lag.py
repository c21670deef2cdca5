"""`alb-provider lag`: how late CloudWatch's minutes appear, and which change later."""

import json
from datetime import timedelta

from provider.advice.lag import Lags
from provider.model.records import Metric
from tests.records import NOW

COMMAND = ("lag", "--namespace", "shop", "--rollout", "web", "--minutes", "0")
REQUESTS = Metric("RequestCount", "app/shop/1", "targetgroup/web/2")
MINUTE = NOW.replace(second=0, microsecond=0)


def after(seconds):
    """A time so many seconds after the end of the minute."""
    return MINUTE + timedelta(seconds=60 + seconds)


def test_a_minute_is_seen_to_appear_and_to_change():
    """The lag is from a minute's end to the first read that has it; a later correction is counted apart."""
    lags = Lags()

    sentences = [
        *lags.note({REQUESTS: {}}, after(10)),
        *lags.note({REQUESTS: {MINUTE: 90.0}}, after(62)),
        *lags.note({REQUESTS: {MINUTE: 90.0}}, after(72)),
        *lags.note({REQUESTS: {MINUTE: 100.0}}, after(82)),
    ]

    assert [one.partition(": ")[2] for one in sentences] == [
        "90, first seen 62 s after its end",
        "90 became 100, 82 s after its end",
    ]
    assert lags.rows() == [
        {
            "metric": "RequestCount",
            "targetGroup": "web",
            "minuteCount": 1,
            "leastSeconds": 62,
            "medianSeconds": 62,
            "worstSeconds": 62,
            "changedCount": 1,
            "lastChangeSeconds": 82,
        }
    ]


def test_what_was_there_at_first_has_no_lag():
    """A minute that the first read has may have been there for long, so it is in no figure."""
    lags = Lags()

    assert list(lags.note({REQUESTS: {MINUTE: 90.0}}, after(300))) == []
    assert lags.rows() == []


def test_it_reads_the_rollouts_target_groups(scene, environment, run):  # noqa: ARG001 - it is there for what it does
    """The command reads CloudWatch for the Rollout's groups once, and says when no new minute appeared."""
    scene.world.aws.faults.forget_calls()

    assert run() == (0, "No new minute appeared for shop/web: look for longer\n", "")
    assert run("-o", "json")[1] == json.dumps({"lags": []}, indent=1) + "\n"
    assert {"GetMetricData"} == {call.name for call in scene.world.aws.calls if call.name.startswith("Get")}
