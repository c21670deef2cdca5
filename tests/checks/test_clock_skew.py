"""Clocks that are set or stand apart: the machine's, the API server's and AWS's, over HTTP against real readers."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from provider.model.records import Freshness
from provider.rules.counts import REQUESTS
from provider.sources.clock import SteadyClock
from tests.world.cluster import objects

FLAT = "namespace=shop&rollout=web"
HEALTH, ERRORS, WARM = (f"/v1/{name}?{FLAT}" for name in ("target-health", "errors", "warm"))
SICK = ("unhealthy", "Target.Timeout")


@pytest.fixture
def freshness():
    """The cache lifetimes of a real provider."""
    return Freshness()


@pytest.fixture
def apart(world, wall_clock):
    """Set the clocks of Kubernetes and AWS ahead of ours, in seconds; ours stands still."""

    def apart(kubernetes=0.0, aws=0.0):
        world.kubernetes_date_offset, world.aws_date_offset = timedelta(seconds=kubernetes), timedelta(seconds=aws)

    wall_clock.stop()
    return apart


@pytest.fixture
def ready_for(scene, world, wall_clock):
    """Let every container be ready for so many seconds, as Kubernetes writes it by its own clock."""

    def ready_for(seconds):
        since = wall_clock() + world.kubernetes_date_offset - timedelta(seconds=seconds)
        for pod in scene.pods:
            pod["metadata"]["creationTimestamp"] = objects.timestamp(since)
            for condition in pod["status"]["conditions"]:
                condition["lastTransitionTime"] = objects.timestamp(since)
        scene.put()

    return ready_for


def serve_since(scene, moment):
    """Let the preview Service select green since a moment, as Kubernetes writes it."""
    scene.service = objects.service(
        scene.preview, selector=scene.service["spec"]["selector"], selector_written_at=moment
    )
    scene.replica_set["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    scene.put()


@pytest.mark.parametrize(("back", "later"), [(10, 10), (60, 60), (60, 1), (-60, 1), (3600, 12)])
def test_the_age_of_evidence_is_real_when_the_machines_clock_is_set(scene, client, wall_clock, world, back, later):
    """Set the clock back or forward: evidence is as old as it is, and is read again when its lifetime is over."""
    seconds, wrong_by = [1000.0], [0.0]
    start = datetime.now(UTC)

    def machine():
        return start + timedelta(seconds=seconds[0] + wrong_by[0])

    wall_clock.machine = SteadyClock(machine, lambda: seconds[0])
    world.now = lambda: start + timedelta(seconds=seconds[0])
    client.get(HEALTH)
    for ip in scene.addresses:
        scene.pin(ip, "initial")
    seconds[0] += later
    wrong_by[0] = -back

    answer = client.get(HEALTH).json

    ages = answer["observed"]["evidenceAgeSeconds"]
    if later > 2:
        assert (answer["phase"], ages["targetHealth"]) == ("Inconclusive", 0)
    else:
        assert (answer["phase"], ages["targetHealth"]) == ("Successful", later)
    assert ages["targetGroups"] == later
    assert "clockSkewSeconds" not in answer["observed"]


@pytest.mark.usefixtures("scene")
def test_clocks_that_are_apart_are_reported(client, apart):
    """More than 5 s apart is in the answer and in a metric, by system, and decides nothing by itself."""
    apart(kubernetes=12, aws=-9)

    answer = client.get(HEALTH).json

    shown = answer["observed"]["clockSkewSeconds"]
    assert answer["phase"] == "Successful"
    assert shown == {"kubernetes": pytest.approx(11.5, abs=0.6), "elbv2": pytest.approx(-8.5, abs=0.6)}
    metrics = client.get("/metrics").text
    told = dict(re.findall(r'^alb_provider_clock_skew_seconds\{upstream="(\w+)"\} (\S+)$', metrics, re.MULTILINE))
    assert {name: round(float(seconds), 1) for name, seconds in told.items()} == shown | {"cloudwatch": 0}


@pytest.mark.usefixtures("scene")
def test_clocks_that_agree_are_not_in_the_answer(client, apart):
    """Clocks within 5 s, or answers without a Date, are no news."""
    apart(kubernetes=4, aws=-4)
    near = client.get(HEALTH).json["observed"]

    assert "clockSkewSeconds" not in near


def test_answers_without_a_date(scene, world, client, wall_clock):
    """What writes no Date is compared with our clock, as it is."""
    world.kubernetes_date_offset = world.aws_date_offset = None
    scene.pin(scene.addresses[0], *SICK)

    answer = client.get(HEALTH).json

    assert (answer["phase"], wall_clock.stopped_at) == ("Failed", None)
    assert "clockSkewSeconds" not in answer["observed"]


@pytest.mark.parametrize("ahead", [-28, -12, 0, 12, 28])
@pytest.mark.parametrize(("seconds", "phase"), [(55, "Inconclusive"), (65, "Failed")])
def test_readiness_is_as_long_as_kubernetes_clock_says(scene, client, apart, ready_for, ahead, seconds, phase):
    """A grace of 60 s is 60 s, however far the API server's clock is from ours, up to half a minute."""
    apart(kubernetes=ahead)
    ready_for(seconds)
    scene.pin(scene.addresses[0], *SICK)

    answer = client.get(HEALTH).json

    assert answer["phase"] == phase


@pytest.mark.parametrize("ahead", [-45, 45])
def test_no_failure_rests_on_clocks_that_are_far_apart(scene, client, apart, ready_for, wall_clock, ahead):
    """More than 30 s apart, what would fail by the grace period is ClockSkew, for a person; what is healthy passes."""
    apart(kubernetes=ahead)
    ready_for(600)
    scene.pin(scene.addresses[0], *SICK)
    sick = client.get(HEALTH).json
    scene.pin(scene.addresses[0], "healthy")
    wall_clock.advance(10)
    healthy = client.get(HEALTH).json

    assert (sick["phase"], sick["reason"], sick["observed"]["action"]) == ("Inconclusive", "ClockSkew", "fix")
    assert "The clock of Kubernetes shows " in sick["message"]
    assert healthy["phase"] == "Successful"
    assert abs(healthy["observed"]["clockSkewSeconds"]["kubernetes"]) > 30


@pytest.mark.parametrize("ahead", [-45, 45])
@pytest.mark.parametrize("system", ["kubernetes", "aws"])
def test_minutes_are_not_chosen_by_clocks_that_are_far_apart(scene, world, client, apart, wall_clock, system, ahead):
    """Which minutes are green's is unknown while Kubernetes' or AWS's clock is more than 30 s from ours."""
    apart(**{system: ahead})
    serve_since(scene, wall_clock() - timedelta(hours=1))
    active = objects.service("web-active", selector={"app": "web", objects.HASH_LABEL: "5b8c4d"})
    blue = objects.target_group_binding("blue", service="web-active", arn=world.aws.target_group("blue"))
    scene.put(active, blue)

    for url in (ERRORS, WARM, f"/v1/gate?{FLAT}"):
        answer = client.get(url).json

        assert (answer["phase"], answer["reason"], answer["observed"]["action"]) == ("Inconclusive", "ClockSkew", "fix")
        name = "Kubernetes" if system == "kubernetes" else "CloudWatch in eu-west-1|Elastic Load Balancing in eu-west-1"
        assert re.search(
            rf"The clock of ({name}) shows ..:..:.. UTC and that of the provider ..:..:.. UTC, more than 30 s apart",
            answer["message"],
        )


@pytest.mark.usefixtures("scene")
def test_the_load_balancers_clock_fails_nothing_and_saves_nothing(scene, client, apart):
    """Target health compares nothing with AWS's clock."""
    apart(aws=45)
    scene.pin(scene.addresses[0], *SICK)

    assert client.get(HEALTH).json["phase"] == "Failed"


def noon(text):
    return datetime.fromisoformat(f"2026-11-23T{text}+00:00")


@pytest.mark.parametrize(
    ("kubernetes", "aws", "written", "now", "first"),
    [
        (0, 0, "12:04:59", "12:08:10", "12:05"),
        (0, 0, "12:05:00", "12:08:10", None),
        (0, 0, "12:05:00", "12:09:10", "12:06"),
        (-20, 20, "12:04:50", "12:08:30", None),
        (-20, 20, "12:04:50", "12:08:45", "12:06"),
        (20, -20, "12:05:10", "12:08:30", "12:05"),
        (20, 0, "12:05:10", "12:08:30", None),
        (-20, 0, "12:04:50", "12:08:10", "12:05"),
        (0, 25, "12:04:40", "12:07:50", None),
        (0, 25, "12:04:30", "12:07:50", "12:05"),
        (0, -25, "12:05:10", "12:08:10", None),
        (0, -25, "12:05:10", "12:08:40", "12:05"),
    ],
)
def test_the_window_has_no_second_of_another_version(
    scene, world, client, apart, wall_clock, kubernetes, aws, written, now, first
):
    """A minute is judged only if it began, by AWS's clock, after the selector was written, by Kubernetes' clock."""
    apart(kubernetes, aws)
    wall_clock.stopped_at = noon(now)
    serve_since(scene, noon(written) + timedelta(seconds=kubernetes))
    minutes = [noon("11:50:00") + timedelta(minutes=number) for number in range(30)]
    balancer = world.aws.load_balancer()
    for arn in (None, scene.arn):
        world.aws.publish(balancer, arn, REQUESTS, dict.fromkeys(minutes, 100))
    client.get(HEALTH)  # so that AWS's clock is known

    answer = client.get(ERRORS).json

    if first is None:
        assert answer["reason"] == "WindowNotOpen"
    else:
        assert answer["observed"]["windowStart"] == noon(f"{first}:00").isoformat()
