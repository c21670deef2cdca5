"""How many Kubernetes and AWS calls queries cost, with evidence shared as in production; all over HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Freshness, Place
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.target_health_xml import parse
from provider.sources.deadline import Deadline
from tests.app import create_app
from tests.scene import GREEN, Scene
from tests.server import PATIENCE
from tests.world.cluster import objects

REGION = "eu-west-1"
FLAT = "namespace=shop&rollout=web"
HEALTH = f"/v1/target-health?{FLAT}"
GATE = f"/v1/gate?{FLAT}"
MINUTE = timedelta(minutes=1)
LONG = 1.5
"""Maximum seconds for which a call is held; each test releases it much sooner."""


@pytest.fixture
def freshness() -> Freshness:
    return Freshness()


@pytest.fixture(autouse=True)
def _time_stands_still(wall_clock):
    """Evidence ages only when a test says so, however slow the machine is."""
    wall_clock.stop()


@pytest.fixture
def calls(world):
    """Return the names of all calls since the last time, without their parameters."""

    def since() -> list[str]:
        kubernetes = [call.name.partition("?")[0].rpartition("/")[2] for call in world.kubernetes_faults.calls]
        aws = [call.name for call in world.aws.calls]
        world.kubernetes_faults.forget_calls()
        world.aws.faults.forget_calls()
        return sorted(kubernetes + aws)

    return since


SWITCH = ["web", "web-active"]
"""What is read for each query while a Rollout is rolling: which Service is judged is never older than the query."""

LOOK = [
    *("web", "targetgroupbindings", "targetgroupbindings"),
    *("replicasets", "pods", "endpointslices", "web-active", "web-preview"),
]


CONFIRMED = "eks.amazonaws.com"
"""The discovery of an API's group, before a pass without the bindings of an API that was never served."""


@pytest.mark.usefixtures("scene")
def test_what_a_question_costs_as_its_evidence_grows_old(client, calls, wall_clock):
    """The first query reads all; later ones read target health and the cluster again after 2 s, target groups last."""
    calls()
    costs = []
    for seconds in (0, 1.9, 0.2, 300):
        wall_clock.advance(seconds)
        assert client.get(HEALTH).json["phase"] == "Successful"
        costs.append(calls())

    first, within_two, after_two, after_300 = costs
    assert first == sorted([*LOOK, CONFIRMED, "DescribeTargetGroups", "DescribeTargetHealth"])
    assert within_two == SWITCH
    assert after_two == sorted([*LOOK, CONFIRMED, "DescribeTargetHealth"])
    assert after_300 == first


def test_a_stable_rollout_costs_nothing_while_its_evidence_is_fresh(scene, client, calls, wall_clock):
    """Once green is stable a repeated query reads nothing; with a stage it reads the Rollout and the Service again."""
    scene.bind_active()
    scene.switch()
    client.get(HEALTH)
    wall_clock.advance(0.5)
    client.get(f"{HEALTH}&stage=afterSwitch")
    calls()

    client.get(HEALTH)
    repeated = calls()
    wall_clock.advance(0.1)
    client.get(f"{HEALTH}&stage=afterSwitch")

    assert repeated == []
    assert calls() == SWITCH


@pytest.mark.usefixtures("scene")
def test_a_crowd_costs_as_much_as_one(client, calls):
    """Thirty concurrent callers of two endpoints cause the calls of one caller."""
    calls()
    asked = [HEALTH, f"{GATE}&checks=replicas,target-health", f"{HEALTH}&minHealthyPercent=50"] * 10
    with ThreadPoolExecutor(30) as askers:
        answers = list(askers.map(client.application.test_client().get, asked))

    assert {answer.json["phase"] for answer in answers} == {"Successful"}
    assert calls() == sorted([*LOOK, CONFIRMED, "DescribeTargetGroups", "DescribeTargetHealth"])


def test_what_changed_is_seen_as_soon_as_the_old_is_not_fresh(scene, client, wall_clock):
    """A target that turns unhealthy is seen after at most 2 s, and the answer before says how old its evidence is."""
    client.get(HEALTH)
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    wall_clock.advance(1.9)
    before = client.get(HEALTH).json
    wall_clock.advance(0.2)
    after = client.get(HEALTH).json

    assert before["phase"] == "Successful"
    assert before["observed"]["evidenceAgeSeconds"]["targetHealth"] == 1.9
    assert after["reason"] == "TargetsUnhealthyInGrace"
    assert after["observed"]["evidenceAgeSeconds"]["targetHealth"] == 0


def test_failures_are_shared_for_a_second(scene, client, calls, wall_clock):
    """While AWS forbids a read it gets one call a second, however many queries come; then the answer is right again."""
    scene.world.aws.faults.aws_error("DescribeTargetHealth", "AccessDenied", "no", 403)
    calls()
    blocked = [client.get(HEALTH).json["reason"] for _ in range(5)]
    cost = calls()
    scene.world.aws.faults.clear()
    wall_clock.advance(1.1)

    assert blocked == ["AwsForbidden"] * 5
    assert cost.count("DescribeTargetHealth") == 1
    assert client.get(HEALTH).json["phase"] == "Successful"


def wait_for(found):
    give_up_at = time.monotonic() + PATIENCE
    while not found() and time.monotonic() < give_up_at:
        time.sleep(0.005)
    return found()


def test_a_silent_region_starves_no_other_rollout(scene, client):
    """A Service with 48 bindings in 8 regions that do not answer holds up no query about another Rollout."""
    world, other = scene.world, Scene(scene.world, name="far").build()
    regions = [f"us-{part}-{number}" for part in ("east", "west", "north", "south") for number in (1, 2)]
    for number in range(48):
        arn = scene.arn.replace("eu-west-1", regions[number % 8]).replace("web-preview", f"far-{number}")
        other.put(objects.target_group_binding(f"far-{number}", service=other.preview, arn=arn))
    world.aws.faults.add("", about=":us-", delay_seconds=LONG)
    with ThreadPoolExecutor(2) as askers:
        hanging = [askers.submit(client.get, HEALTH.replace("rollout=web", "rollout=far")) for _ in range(2)]
        many_hang = wait_for(lambda: len(world.aws.calls) > 40)

        answer = client.get(HEALTH).json
        undecided = not any(future.done() for future in hanging)
        world.aws.faults.clear()

    assert (many_hang, answer["phase"], undecided) == (True, "Successful", True)


def test_a_gate_reads_health_and_metrics_at_the_same_time(scene, client):
    """GetMetricData and DescribeTargetHealth run in parallel: a gate takes three round trips, as its slowest check."""
    world, long_ago = scene.world, datetime.now(UTC) - timedelta(minutes=30)
    scene.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(long_ago)
    scene.put()
    world.aws.faults.add("DescribeTargetHealth", delay_seconds=LONG)
    with ThreadPoolExecutor(1) as asker:
        asked = asker.submit(client.get, GATE)
        measured = wait_for(lambda: any(call.name == "GetMetricData" for call in world.aws.calls))
        undecided = not asked.done()
        world.aws.faults.clear()

        assert (measured, undecided, asked.result().json["reason"]) == (True, True, "NoData")


def test_few_targets_of_a_large_group_are_asked_for_by_name(world, sources, wall_clock):
    """Three pods in a group of three hundred cost an answer of three targets, once the group's size is known."""
    arn = world.aws.target_group("large")
    world.aws.register(arn, [(f"10.1.{n // 250}.{n % 250}", 8080) for n in range(300)])
    wanted = [("10.1.0.1", 8080), ("10.1.0.2", 8080), ("10.9.9.9", 8080)]
    binding = Binding("large", "web", 80, arn, "", "IPv4", "")
    sizes = []
    for some in ([], wanted, wanted[:2]):
        (found,) = sources.load_balancers.health((binding,), Deadline(10), lambda *_, some=some: some)
        sizes.append(len(found.targets))
        wall_clock.advance(3)

    (found,) = sources.load_balancers.health((binding,), Deadline(10), lambda *_: wanted)
    states = {target.id: (target.state, target.reason) for target in found.targets}
    assert sizes == [300, 3, 2]
    assert states["10.9.9.9"] == ("unused", "Target.NotRegistered")
    assert states["10.1.0.1"][0] in {"initial", "healthy"}


def test_a_target_that_aws_will_not_speak_of_is_looked_for_among_all(world, sources, wall_clock):
    """Where AWS rejects a query for single targets (InvalidTarget), all targets are read instead."""
    arn = world.aws.target_group("large")
    world.aws.register(arn, [(f"10.1.0.{n}", 8080) for n in range(200)])
    binding = Binding("large", "web", 80, arn, "", "IPv4", "")
    sources.load_balancers.health((binding,), Deadline(10))
    wall_clock.advance(3)
    world.aws.faults.aws_error("DescribeTargetHealth", "InvalidTarget", "not registered", times=1)

    (found,) = sources.load_balancers.health((binding,), Deadline(10), lambda *_: [("10.9.9.9", 8080)])

    assert len(found.targets) == 200


def test_another_group_that_is_gone_is_not_greens_fault(scene, client):
    """A target group of blue that does not exist is described together with green's, and does not block green."""
    gone = scene.arn.replace("web-preview", "web-active")
    scene.put(objects.target_group_binding("gone", service="web-active", arn=gone))

    assert client.get(HEALTH).json["phase"] == "Successful"


def test_the_fast_parser_reads_what_botocores_own_does(world):
    """Every target is decoded as botocore does: id, port, state, reason and description, in the same order."""
    arn = world.aws.target_group("web")
    for number, (state, reason) in enumerate(
        [
            ("healthy", None),
            ("unhealthy", "Target.Timeout"),
            ("draining", None),
            ("initial", "Elb.InitialHealthChecking"),
        ]
    ):
        world.aws.load_balancers.pin(arn, f"10.0.0.{number}", 8000 + number, state, reason, reason and "<&> é")
    client, bodies = world.aws.client(), []
    client.meta.events.register(
        "before-parse.elastic-load-balancing-v2.DescribeTargetHealth",
        lambda response_dict, **_: bodies.append(response_dict["body"]),
        unique_id="keep the body",
    )

    theirs = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    client.meta.events.unregister(
        "before-parse.elastic-load-balancing-v2.DescribeTargetHealth", unique_id="keep the body"
    )

    assert [
        (target.id, target.port, target.state, target.reason, target.description) for target in parse(bodies[0])
    ] == [
        (
            their["Target"]["Id"],
            their["Target"]["Port"],
            their["TargetHealth"]["State"],
            their["TargetHealth"].get("Reason", ""),
            their["TargetHealth"].get("Description", ""),
        )
        for their in theirs
    ]
    assert len(theirs) == 4


@pytest.mark.usefixtures("scene")
def test_a_rollout_in_the_queue_is_told_for_how_long(world, sources, account, metrics, wall_clock):
    """While other Rollouts use up the call budget the answer is AwsBudget with `retryAfterSeconds`, and no read."""
    Scene(world, name="late").build()
    stopped = replace(account, seconds=lambda: 1000.0)  # no call comes back, however slow the machine is
    few = LoadBalancers(stopped, sources.shared, metrics, calls_per_second=0.5)
    client = create_app(replace(sources, load_balancers=few), metrics).test_client()
    first = client.get(HEALTH).get_json()
    waiting = client.get(HEALTH.replace("web", "late")).get_json()
    world.kubernetes_faults.forget_calls()
    wall_clock.advance(20)
    again = client.get(HEALTH.replace("web", "late")).get_json()

    assert first["phase"] == "Successful"
    for answer in (waiting, again):
        assert (answer["phase"], answer["reason"]) == ("Inconclusive", "AwsBudget")
        assert 1 <= answer["observed"]["retryAfterSeconds"] <= 60
        assert f"about {answer['observed']['retryAfterSeconds']} s" in answer["message"]
    assert world.kubernetes_faults.calls == []


def test_retries_and_throttling_count(scene, sources, client, metrics):
    """A call that botocore retries counts twice, and throttling by AWS slows the provider down."""
    scene.world.aws.faults.aws_error("DescribeTargetHealth", "Throttling", "Rate exceeded", times=1)

    answer = client.get(HEALTH).json

    counted = {
        (throttled, retry): metrics.registry.get_sample_value(
            "alb_provider_aws_calls_total", {"upstream": "elbv2", "throttled": throttled, "retry": retry}
        )
        for throttled, retry in (("true", "false"), ("false", "true"), ("false", "false"))
    }
    assert answer["phase"] == "Successful"
    assert counted == {("true", "false"): 1, ("false", "true"): 1, ("false", "false"): 1}
    assert sources.load_balancers.elbv2.calls_per_second(Place(REGION)) < 1000


def test_a_group_without_a_rule_is_looked_at_again_soon(world, client, wall_clock):
    """Once the missing listener rule is added the answer changes after seconds, not after five minutes."""
    scene = Scene(world).build()
    arn = world.aws.target_group("apart", attached=False)
    scene.put(objects.target_group_binding(f"k8s-shop-{scene.preview}", service=scene.preview, arn=arn))
    for ip in scene.addresses:
        world.aws.load_balancers.pin(arn, ip, 8080, "healthy")
    before = client.get(HEALTH).json["reason"]
    world.aws.rule({arn: 1})
    wall_clock.advance(5.1)

    assert before == "TargetGroupNotInUse"
    assert client.get(HEALTH).json["reason"] == "TargetsHealthy"
    assert scene.rollout["status"]["currentPodHash"] == GREEN


def test_of_a_group_that_is_named_only_the_name_is_resolved_soon(world, sources, wall_clock):
    """A target group created again under its name is found within seconds: the ARN of a name is cached briefly."""
    binding = Binding("named", "web", 80, "", "web", "IPv4", "")
    old = world.aws.target_group("web", attached=False)
    (before,) = sources.load_balancers.groups((binding,), Deadline(10))
    world.aws.client().delete_target_group(TargetGroupArn=old)
    wall_clock.advance(5.1)
    with pytest.raises(CannotTell) as gone:
        sources.load_balancers.groups((binding,), Deadline(10))

    assert before.value.arn == old
    assert gone.value.reason is Reason.TARGET_GROUP_NOT_FOUND
