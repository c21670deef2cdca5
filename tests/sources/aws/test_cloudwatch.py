"""The CloudWatch reader against real boto3 over HTTP, and the errors question end to end."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provider.checks import errors
from provider.checks.question import answer, parse
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Metric, Place, Window
from provider.rules.counts import HEALTHY_HOSTS, REQUESTS, TARGET_5XX, dimension
from provider.sources.deadline import Deadline
from tests.scene import GREEN
from tests.world.cluster import objects

MINUTE = timedelta(minutes=1)
REGION = "eu-west-1"
FLAT = "/v1/errors?namespace=shop&rollout=web"


@pytest.fixture
def window():
    """Three whole minutes, five minutes ago."""
    end = datetime.now(UTC).replace(second=0, microsecond=0) - 5 * MINUTE
    return Window(end - 3 * MINUTE, end)


@pytest.fixture
def group(world):
    """The ARNs of a load balancer and of a target group on it."""
    arn = world.aws.target_group("web")
    return world.aws.load_balancer(), arn


@pytest.fixture
def deadline():
    """The time of one question."""
    return Deadline(10, rollout="shop/web")


def metric(group, name=REQUESTS, statistic="Sum"):
    return Metric(name, dimension(group[0]), dimension(group[1]), statistic)


def calls(world, name="GetMetricData"):
    return [call for call in world.aws.calls if call.name == name]


def answered(results, token=None, **more):
    """The body of a GetMetricData answer in botocore's JSON protocol."""
    body = {"MetricDataResults": results, "Messages": []} | ({"NextToken": token} if token else {}) | more
    return json.dumps(body)


def result(name, minutes, status="Complete"):
    values = [float(minute.minute) for minute in minutes]
    stamps = [minute.timestamp() for minute in minutes]
    return {"Id": name, "Label": name, "Timestamps": stamps, "Values": values, "StatusCode": status}


def test_points_come_by_minute_and_missing_minutes_stay_missing(world, sources, group, window, deadline):
    """Exactly the window's published minutes come back, start included and end excluded, none of them filled in."""
    first, _, third = window.minutes
    published = {first - MINUTE: 1, first: 5, third: 7, window.end: 9}
    world.aws.publish(*group, REQUESTS, published)

    found = sources.cloudwatch.points(Place(REGION), (metric(group), metric(group, TARGET_5XX)), window, deadline).value

    assert found == {metric(group): {first: 5.0, third: 7.0}, metric(group, TARGET_5XX): {}}


def test_all_metrics_travel_in_one_call_to_the_arns_region(world, sources, group, window, deadline):
    """Ten metrics are one GetMetricData, asked in the region of the target group."""
    wanted = tuple(metric(group, f"{REQUESTS}{number}") for number in range(10))

    sources.cloudwatch.points(Place("us-east-1"), wanted, window, deadline)

    assert [call.region for call in calls(world)] == ["us-east-1"]


def test_pages_are_joined_by_id(world, sources, group, window, deadline):
    """A series that goes on in the next page is one series, whatever the order of ids; its last status counts."""
    first, second, third = window.minutes
    asked = (metric(group), metric(group, TARGET_5XX))
    pages = [
        answered([result("m1", [third]), result("m0", [first], "PartialData")], token="next"),
        answered([result("m0", [second, third])]),
    ]
    for page in pages:
        world.aws.faults.add("GetMetricData", status=200, body=page, content_type="application/x-amz-json-1.0", times=1)

    found = sources.cloudwatch.points(Place(REGION), asked, window, deadline).value

    assert sorted(found[asked[0]]) == [first, second, third]
    assert sorted(found[asked[1]]) == [third]
    assert len(calls(world)) == 2


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([("m0", "PartialData")], Reason.METRICS_INCOMPLETE),
        ([("m0", "InternalError")], Reason.AWS_UNAVAILABLE),
        ([("m0", "Forbidden")], Reason.AWS_FORBIDDEN),
        ([("m0", "a word of next year")], Reason.METRICS_INCOMPLETE),
        ([], Reason.METRICS_INCOMPLETE),
        ([("m0", "Complete"), ("m7", "Complete")], Reason.AWS_MALFORMED),
    ],
)
def test_a_series_that_is_not_complete_is_an_error(world, sources, group, window, deadline, results, reason):
    """Partial, failed, forbidden and absent results are told apart and are never read as an empty series."""
    body = answered([result(name, [], status) for name, status in results])
    world.aws.faults.add("GetMetricData", status=200, body=body, content_type="application/x-amz-json-1.0")

    with pytest.raises(CannotTell) as raised:
        sources.cloudwatch.points(Place(REGION), (metric(group),), window, deadline)

    assert raised.value.reason is reason


@pytest.fixture
def live(scene, window):
    """The scene, with green's selector written ten minutes ago and the load balancer alive in every minute."""
    long_ago = datetime.now(UTC) - timedelta(minutes=30)
    scene.service = objects.service(
        scene.preview, selector=scene.service["spec"]["selector"], selector_written_at=long_ago
    )
    scene.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(long_ago)
    scene.put()
    balancer = scene.world.aws.load_balancer()
    recent = [window.end + number * MINUTE for number in range(-8, 6)]
    scene.world.aws.publish(balancer, None, REQUESTS, dict.fromkeys(recent, 100))
    scene.world.aws.publish(balancer, scene.arn, REQUESTS, dict.fromkeys(recent, 50))
    scene.world.aws.faults.forget_calls()
    return scene, balancer, recent


def test_a_clean_green_passes_for_one_metric_call(live, client):
    """One errors question costs one DescribeTargetGroups and one GetMetricData of nine metrics."""
    scene, _, _ = live

    found = client.get(FLAT).json

    assert (found["phase"], found["reason"]) == ("Successful", "ErrorsWithinLimit")
    assert found["message"].startswith("0 of 150 requests (0 %) failed")
    names = [call.name for call in scene.world.aws.calls]
    assert names == ["DescribeTargetGroups", "GetMetricData"]


@pytest.mark.usefixtures("live")
def test_a_question_asks_for_no_metric_it_does_not_judge_or_tell(sources):
    """Four metrics of green's group and five of its load balancer; three more of blue's group where there is one."""
    query = parse(errors.CHECK, [("namespace", "shop"), ("rollout", "web")])
    asked = []

    class Counting:
        def points(self, place, metrics, *more):
            asked.extend(metrics)
            return sources.cloudwatch.points(place, metrics, *more)

    answer(errors.CHECK, query, replace(sources, cloudwatch=Counting()))

    assert len(asked) == len(set(asked)) == 9


def test_a_green_that_answers_5xx_fails_with_right_numbers(live, client):
    """8 % of 5xx are Failed, with the numbers of exactly the three minutes of the window."""
    scene, balancer, recent = live
    scene.world.aws.publish(balancer, scene.arn, TARGET_5XX, dict.fromkeys(recent, 4))

    found = client.get(FLAT).json

    assert (found["phase"], found["reason"]) == ("Failed", "ErrorsAboveLimit")
    assert found["measurement"][0] == 8.0
    assert "12 of 150 requests (8 %)" in found["message"]
    assert "(12 × 5xx, 0 connection errors)" in found["message"]


def test_a_silent_cloudwatch_is_no_data(scene, client):
    """An account without a single point is Inconclusive, never a pass."""
    scene.service["metadata"]["managedFields"][0]["time"] = "2026-01-01T00:00:00Z"
    scene.replica_set["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    scene.put()

    found = client.get(FLAT).json

    assert (found["phase"], found["reason"]) == ("Inconclusive", "NoData")


def test_healthy_hosts_confirm_an_idle_load_balancer(scene, client, window):
    """With registered targets and no request at all, HealthyHostCount confirms that nothing failed."""
    scene.replica_set["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    scene.put()
    recent = [window.end + number * MINUTE for number in range(-8, 6)]
    scene.world.aws.publish(scene.world.aws.load_balancer(), scene.arn, HEALTHY_HOSTS, dict.fromkeys(recent, 3))

    idle, wanted = client.get(FLAT).json, client.get(f"{FLAT}&minRequests=1").json

    assert (idle["phase"], idle["reason"]) == ("Successful", "NoRequests")
    assert (wanted["phase"], wanted["reason"]) == ("Inconclusive", "TooFewRequests")
    assert "No requests reached green" in idle["message"]
    assert "No requests reached green" in wanted["message"]


def test_a_green_that_has_just_begun_says_when_to_ask(scene, client):
    """Right after green's Service was pointed at it there is no whole minute yet: WindowNotOpen with the time."""
    scene.service = objects.service(
        scene.preview, selector=scene.service["spec"]["selector"], selector_written_at=datetime.now(UTC)
    )
    scene.put()

    found = client.get(FLAT).json

    assert found["reason"] == "WindowNotOpen"
    assert "the first full minute can be judged at" in found["message"]


def test_a_service_without_managed_fields_is_not_guessed_about(scene, client):
    """Without the time of the selector's last write it is unknown which metrics are green's."""
    del scene.service["metadata"]["managedFields"]
    scene.put()

    assert client.get(FLAT).json["reason"] == "SelectorAgeUnknown"


def test_after_the_switch_a_load_balancer_of_others_is_not_green(live, client):
    """After the switch ELB 5xx fail green if every target group is the Rollout's own, and block if one is not."""
    scene, balancer, recent = live
    active = objects.service("web-active", selector={"app": "web", objects.HASH_LABEL: GREEN})
    binding = objects.target_group_binding("active", service="web-active", arn=scene.arn)
    scene.put(active, binding)
    scene.world.aws.publish(balancer, None, "HTTPCode_ELB_5XX_Count", dict.fromkeys(recent, 30))
    scene.world.aws.publish(balancer, None, "HTTPCode_ELB_502_Count", dict.fromkeys(recent, 30))

    alone = client.get(FLAT).json
    scene.world.aws.target_group("neighbour")
    shared = client.get(FLAT).json

    assert (alone["phase"], alone["reason"]) == ("Failed", "LoadBalancerErrors")
    assert "90 × HTTP 502 (a target closed the connection" in alone["message"]
    assert (shared["phase"], shared["reason"]) == ("Inconclusive", "LoadBalancerShared")


def test_blue_is_read_in_the_same_call(live, client):
    """Before the switch blue's requests come with green's: still one GetMetricData, and both shares in the sentence."""
    scene, balancer, recent = live
    blue = scene.world.aws.target_group("blue")
    scene.put(objects.target_group_binding("blue", service="web-active", arn=blue))
    scene.world.aws.publish(balancer, blue, REQUESTS, dict.fromkeys(recent, 1000))
    scene.world.aws.publish(balancer, blue, TARGET_5XX, dict.fromkeys(recent, 1))
    scene.world.aws.publish(balancer, scene.arn, TARGET_5XX, dict.fromkeys(recent, 4))
    scene.world.aws.faults.forget_calls()

    found = client.get(f"{FLAT}&compare=blue").json

    assert (found["phase"], found["reason"]) == ("Failed", "WorseThanBlue")
    assert "green failed 12 of 150 requests (8 %), blue failed 3 of 3000 requests (0.1 %)" in found["message"]
    assert len(calls(scene.world)) == 1


@pytest.mark.parametrize(
    ("ahead", "without_dates"), [(timedelta(minutes=-30), "WindowNotOpen"), (timedelta(minutes=30), "NoData")]
)
@pytest.mark.usefixtures("live")
def test_a_clock_that_is_wrong_never_passes(client, world, wall_clock, ahead, without_dates):
    """A provider whose clock is half an hour behind or ahead judges no minutes, and says so if answers have a Date."""
    world.now = lambda: datetime.now(UTC)
    world.kubernetes_date_offset = world.aws_date_offset = None
    wall_clock.ahead = ahead
    blind = client.get(FLAT).json
    world.kubernetes_date_offset = world.aws_date_offset = timedelta(0)
    found = client.get(FLAT).json

    assert (blind["phase"], blind["reason"]) == ("Inconclusive", without_dates)
    assert (found["phase"], found["reason"]) == ("Inconclusive", "ClockSkew")


@pytest.mark.parametrize("noon", ["2026-03-29T01:00", "2026-10-25T01:00", "2026-10-25T00:30"])
def test_minutes_are_utc_on_days_when_clocks_change(world, sources, group, monkeypatch, deadline, noon):
    """On a machine with a zone that changes its clocks every minute of the night is itself, and none comes twice."""
    middle = datetime.fromisoformat(f"{noon}+00:00")
    night = Window(middle - 90 * MINUTE, middle + 90 * MINUTE)
    body = answered([result("m0", night.minutes)])
    world.aws.faults.add("GetMetricData", status=200, body=body, content_type="application/x-amz-json-1.0")
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Europe/Berlin")
        time.tzset()

        found = sources.cloudwatch.points(Place(REGION), (metric(group),), night, deadline).value
    time.tzset()

    assert found[metric(group)] == {minute: float(minute.minute) for minute in night.minutes}


@pytest.mark.parametrize(
    ("code", "reason"),
    [("Throttling", "AwsThrottled"), ("AccessDenied", "AwsForbidden"), ("ExpiredToken", "AwsCredentials")],
)
def test_a_refusal_of_cloudwatch_is_named(live, client, code, reason):
    """Throttled, forbidden and rejected credentials at GetMetricData block with their own reason and the IAM action."""
    scene, _, _ = live
    scene.world.aws.faults.aws_error("GetMetricData", code, "no")

    found = client.get(FLAT).json

    assert (found["phase"], found["reason"]) == ("Inconclusive", reason)
    assert "cloudwatch:GetMetricData" in found["message"]


def test_an_unfinished_minute_can_fail_green_before_the_window_opens(live, client):
    """While no minute is finished, published failures decide with one call of the same nine metrics; nothing passes."""
    scene, balancer, _ = live
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    scene.service = objects.service(
        scene.preview, selector=scene.service["spec"]["selector"], selector_written_at=now - 10 * MINUTE
    )
    scene.put()
    scene.world.aws.publish(balancer, None, REQUESTS, {now - number * MINUTE: 900 for number in range(14, 30)})
    late = f"{FLAT}&lagSeconds=900&windowSeconds=60"
    scene.world.aws.faults.forget_calls()

    waits = client.get(late).json
    asked = len(calls(scene.world))
    scene.world.aws.publish(balancer, scene.arn, TARGET_5XX, {now - 6 * MINUTE: 50})
    failed = client.get(late).json
    ignored = client.get(f"{late}&unfinishedMinutes=ignore").json

    assert waits["reason"] == ignored["reason"] == "WindowNotOpen"
    assert (failed["phase"], failed["reason"]) == ("Failed", "ErrorsAboveLimit")
    assert failed["message"].startswith("At least 50 of at most 2000 requests failed in ")
    assert "more than the 1 % allowed; CloudWatch has not finished the last minute" in failed["message"]
    assert failed["observed"]["unfinishedMinutes"]["errorCount"] == 50
    assert asked == 1
