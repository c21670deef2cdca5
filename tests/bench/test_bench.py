"""The benchmark measures like against like: the same verdicts from the same bytes, and AWS as strict as AWS."""

import json
import os
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner

from tests import ROOT
from tests.bench import fleet
from tests.bench.__main__ import PARTS, main
from tests.bench.aws_answers import BUCKET_TOKENS, TokenBucket
from tests.bench.cold import Child
from tests.bench.floor import read_plan, stages, write_plan
from tests.bench.stand_in import Call
from tests.bench.subjects import PORT, Subject, manifests
from tests.bench.world import BenchWorld, Latencies

SUBJECTS = (Subject(number=0, pods=12), Subject(number=1, pods=5, initial=2))
EXPECTED = [
    {"phase": "Successful", "healthy_count": 12, "wanted_count": 12},
    {"phase": "Inconclusive", "healthy_count": 3, "wanted_count": 5},
]
AT_ONCE = Latencies(kubernetes=0, aws=0)


def opinions(way, environment):
    """What a way says about each subject."""
    with Child(way, environment) as child:
        return [child.ask(subject)["opinion"] for subject in SUBJECTS]


def test_both_ways_agree_on_the_prepared_bytes():
    """Ours and the straightforward way give the same verdict and the same counts from the benchmark's stand-ins."""
    with BenchWorld(SUBJECTS, AT_ONCE) as world:
        assert opinions("ours", world.environment) == EXPECTED
        assert opinions("straightforward", world.environment) == EXPECTED


def test_the_prepared_bytes_agree_with_the_demo(world, tmp_path):
    """The demo's cluster and AWS lead to the same verdicts for the same objects as the prepared bytes do."""
    for subject in SUBJECTS:
        arn = world.aws.target_group(subject.group_name)
        for manifest in manifests(subject, datetime.now(UTC) - timedelta(minutes=15), arn):
            world.kubernetes.put(manifest)
        for address, state in subject.states:
            reason = None if state == "healthy" else "Elb.InitialHealthChecking"
            world.aws.load_balancers.pin(arn, address, PORT, state, reason)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | world.environment(tmp_path)

    assert opinions("ours", environment) == EXPECTED
    assert opinions("straightforward", environment) == EXPECTED


def test_objects_weigh_what_real_ones_do():
    """A pod has about 10 KB, its managedFields 2 to 3 KB, and a slice holds 100 endpoints."""
    made = manifests(Subject(number=0, pods=100), datetime.now(UTC))

    (pod, *_) = [one for one in made if one["kind"] == "Pod"]
    full = [one for one in made if one["kind"] == "EndpointSlice"]

    assert 9_500 < size(pod) < 11_500
    assert 2_000 < size(pod["metadata"]["managedFields"]) < 3_200
    assert [len(one["endpoints"]) for one in full] == [100, 100]


def size(value):
    """Bytes of JSON as the API server writes it."""
    return len(json.dumps(value, separators=(",", ":")))


def test_the_bucket_is_that_of_aws():
    """Forty calls pass at once and no more; after a second ten more do."""
    now = [0.0]
    bucket = TokenBucket(BUCKET_TOKENS, 10, clock=lambda: now[0])

    at_once = sum(bucket.take() for _ in range(100))
    now[0] += 1
    later = sum(bucket.take() for _ in range(100))

    assert (at_once, later) == (40, 10)


def test_a_call_beyond_the_bucket_is_throttled_as_boto3_knows_it():
    """boto3 raises Throttling for the first call beyond the bucket, and the stand-in has counted every call."""
    with BenchWorld(SUBJECTS, AT_ONCE, throttles=True) as world:
        elbv2 = boto3.client(
            "elbv2",
            region_name="eu-west-1",
            endpoint_url=world.aws.url,
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ClientError) as refused:
            look_often(elbv2)
        calls = world.aws.calls()
        elbv2.close()

    assert refused.value.response["Error"]["Code"] == "Throttling"
    assert len(calls) > BUCKET_TOKENS
    assert [one.status for one in calls] == [200] * (len(calls) - 1) + [400]


def look_often(elbv2):
    """More calls in a row than the bucket can hold, however slow the machine."""
    for _ in range(2000):
        elbv2.describe_target_health(TargetGroupArn=SUBJECTS[0].arn)


def call(at, about="group", name="DescribeTargetHealth"):
    """A call that AWS answered after 40 ms."""
    return Call(at, at + 0.04, name, about, "/", "", "", "", 200, 0)


def test_the_floor_waits_for_no_more_than_ours_did():
    """The floor sends each request in the stage in which ours was sent, and waits for the same responses."""
    slow = Call(0.011, 0.051, "DescribeTargetGroups", "", "slow", "", "", "", 200, 0)
    quick = [
        Call(at, at + 0.01, "GET", "", target, "", "", "", 200, 0) for at, target in ((0.0, "first"), (0.011, "then"))
    ]
    last = Call(0.022, 0.062, "DescribeTargetHealth", "", "last", "", "", "", 200, 0)

    found = stages([last, slow, *quick])

    assert [[step.target for step in stage.steps] for stage in found] == [["first"], ["slow", "then"], ["last"]]
    assert [stage.waits_for for stage in found] == [[], [0], [0, 2]]
    assert read_plan(write_plan(found)) == found


def test_calls_beyond_the_providers_budget_are_found():
    """Twenty calls at once and five a second are within the budget, one more is counted as one too many."""
    within = [call(0.0) for _ in range(20)] + [call(1 + second / 5) for second in range(5)]

    assert fleet.over_budget(within) == 0
    assert fleet.over_budget([*within, call(0.0)]) == 1
    assert fleet.worst_second(within) == 20


def test_two_looks_at_one_group_within_two_seconds_are_found():
    """The shortest time between two DescribeTargetHealth counts per target group, and other calls do not."""
    calls = [call(0.0), call(0.5, "other"), call(1.0, name="DescribeTargetGroups"), call(2.5)]

    assert fleet.closest(calls) == 2.5


def test_a_pass_on_stale_evidence_is_found():
    """A pass counts as stale if it says so itself, or if AWS's log has no call that is new enough."""
    arn = Subject(number=7, pods=fleet.PODS).arn
    answer = {"rollout": 7, "asked": 100.0, "answered": 100.1, "phase": "Successful", "age": 0.5}

    fresh = fleet.ages([answer], [call(99.6, arn)])
    admitted = fleet.ages([answer | {"age": 60.0}], [call(99.6, arn)])
    belied = fleet.ages([answer], [call(40.0, arn)])
    never = fleet.ages([answer], [])

    assert [one["stale_passes"] for one in (fresh, admitted, belied, never)] == [0, 1, 1, 1]


def test_promotion_wants_three_passes_in_a_row():
    """A Rollout counts as promoted from its third pass in a row on, and as passed from its first."""
    phases = ["Successful", "Inconclusive", "Successful", "Successful", "Successful"]
    answers = [
        {"rollout": 0, "asked": 5.0 * place, "answered": 5.0 * place + 1, "phase": phase}
        for place, phase in enumerate(phases)
    ]

    found = fleet.passes(answers, rollouts=1)

    assert (found["all_passed_once_seconds"], found["all_promoted_seconds"]) == (1, 21)
    assert fleet.passes(answers[:4], rollouts=1)["promoted"] == 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_whole_benchmark_runs(tmp_path):
    """`python -m tests.bench --quick` runs every part and leaves a table, the figures and a plot of each."""
    pytest.importorskip("matplotlib")

    done = CliRunner().invoke(main, ["--quick", "--results", str(tmp_path / "results")], catch_exceptions=False)

    found = json.loads((tmp_path / "results" / "bench.json").read_text())
    written = (tmp_path / "results" / "bench.md").read_text()
    assert done.exit_code == 0
    assert set(found) == {"about", *PARTS}
    assert [written.count(f"({letter}) ") for letter in "abcef"] == [1] * 5
    assert (tmp_path / "results" / "bench.png").read_bytes().startswith(b"\x89PNG")
