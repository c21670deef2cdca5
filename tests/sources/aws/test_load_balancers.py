"""The ELBv2 reader against the embedded AWS: what it asks, what it returns, and what it refuses to guess."""

import base64
from collections.abc import Callable
from dataclasses import replace

import boto3
import botocore
import pytest

from provider import __version__
from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, GroupHealth, Place, Target, TargetGroup
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.service import Account
from provider.sources.aws.session import ATTEMPTS
from provider.sources.deadline import Deadline
from tests.world.aws.api import REGION
from tests.world.world import World

OTHER_REGION = "us-east-1"
UNKNOWN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:targetgroup/gone/0123456789abcdef"
BINDING = Binding(name="web", service="web-preview", port=80, arn="", group_name="", family="IPv4", role_arn="")

Health = Callable[..., tuple[GroupHealth, ...]]


def bound(arn: str = "", *, name: str = "web", group_name: str = "") -> Binding:
    return replace(BINDING, name=name, arn=arn, group_name=group_name)


def asked(world: World) -> list[tuple[str, str | None]]:
    """What AWS was asked since the test began to read, by action and region of the signature."""
    return sorted((call.name, call.region) for call in world.aws.calls)


@pytest.fixture
def health(sources: Sources, world: World) -> Health:
    """Read the health of bindings, with nothing but that in the list of calls."""

    def read(*bindings: Binding) -> tuple[GroupHealth, ...]:
        world.aws.faults.forget_calls()
        return sources.load_balancers.health(bindings, Deadline(10))

    return read


def test_a_group_is_one_call_each_for_its_settings_and_its_targets(world, health):
    """A binding with an ARN costs two calls, and gives the group's settings and AWS's own words for every target."""
    arn = world.aws.target_group("web", interval=7, unhealthy_threshold=4)
    world.aws.load_balancers.pin(arn, "10.0.0.1", 8080, "healthy")
    world.aws.load_balancers.pin(arn, "10.0.0.2", 8080, "unhealthy", "Target.Timeout", "Request timed out")

    (found,) = health(bound(arn))

    assert found.group == TargetGroup(
        arn=arn,
        name="web",
        target_type="ip",
        load_balancer_arns=found.group.load_balancer_arns,
        health_check_interval_seconds=7,
        unhealthy_threshold=4,
        place=Place(REGION),
    )
    assert [arn.rsplit("/", 2)[0].rpartition(":")[2] for arn in found.group.load_balancer_arns] == ["loadbalancer/app"]
    assert found.targets == (
        Target("10.0.0.1", 8080, "healthy"),
        Target("10.0.0.2", 8080, "unhealthy", "Target.Timeout", "Request timed out"),
    )
    assert asked(world) == [("DescribeTargetGroups", REGION), ("DescribeTargetHealth", REGION)]


def test_what_aws_says_beside_the_state_is_read(world, health):
    """An anomaly and a zonal shift come with the same call, and the usual words for neither of them mean nothing."""
    arn = world.aws.target_group("web")
    world.aws.load_balancers.pin(arn, "10.0.0.1", 8080, "healthy", anomaly="anomalous")
    world.aws.load_balancers.pin(arn, "10.0.0.2", 8080, "healthy", override="zonal_shift_active")
    world.aws.load_balancers.pin(arn, "10.0.0.3", 8080, "initial", "Elb.InitialHealthChecking", "…")
    world.aws.load_balancers.pin(arn, "10.0.0.4", 8080, "healthy", override="unknown")

    (found,) = health(bound(arn))

    assert [(target.is_anomalous, target.override) for target in found.targets] == [
        (True, ""),
        (False, "zonal_shift_active"),
        (False, ""),
        (False, ""),
    ]
    assert [name for name, _ in asked(world)].count("DescribeTargetHealth") == 1


def test_a_region_that_does_not_know_them_is_asked_without(world, health):
    """Where AWS refuses to tell more than the state, it is asked for that alone, the next time at once."""
    arn, other = world.aws.target_group("web"), world.aws.target_group("api")
    for one in (arn, other):
        world.aws.load_balancers.pin(one, "10.0.0.1", 8080, "healthy", anomaly="anomalous")
    world.aws.faults.aws_error("DescribeTargetHealth", "ValidationError", "Include is not supported", about="Include")

    (first,), calls = health(bound(arn)), len(asked(world))
    (second,) = health(bound(other))

    assert [(target.state, target.is_anomalous) for target in (*first.targets, *second.targets)] == [
        ("healthy", False)
    ] * 2
    assert (calls, len(asked(world))) == (3, 2)


def test_a_group_that_is_refused_is_not_tried_out_twice(world, health):
    """Once a region has told more than the state, a refusal is about the group and costs one call."""
    arn, other = world.aws.target_group("web"), world.aws.target_group("api")
    health(bound(arn))
    world.aws.faults.aws_error("DescribeTargetHealth", "ValidationError", "No")

    with pytest.raises(CannotTell) as refused:
        health(bound(other))

    assert refused.value.reason is Reason.AWS_REJECTED
    assert [name for name, _ in asked(world)].count("DescribeTargetHealth") == 1


def test_every_region_is_asked_about_its_own_groups(world, health):
    """A group is looked up in the region of its ARN, whatever the provider's own; one DescribeTargetGroups each."""
    near = world.aws.target_group("near")
    nearer = world.aws.target_group("nearer")
    far = world.aws.target_group("far", region=OTHER_REGION)
    world.aws.load_balancers.pin(far, "10.9.0.1", 80, "healthy")

    found = health(bound(far), bound(near), bound(nearer))

    assert [(health.group.name, len(health.targets)) for health in found] == [("far", 1), ("near", 0), ("nearer", 0)]
    assert asked(world) == [
        ("DescribeTargetGroups", REGION),
        ("DescribeTargetGroups", OTHER_REGION),
        ("DescribeTargetHealth", REGION),
        ("DescribeTargetHealth", REGION),
        ("DescribeTargetHealth", OTHER_REGION),
    ]


def test_a_name_is_resolved_to_its_group(world, health):
    """A binding by targetGroupName is judged like one by ARN, also beside one, in the provider's own region."""
    by_arn, by_name = world.aws.target_group("by-arn"), world.aws.target_group("by-name")
    world.aws.load_balancers.pin(by_name, "10.0.0.1", 8080, "healthy")

    found = health(bound(by_arn), bound(group_name="by-name"))

    assert [(health.group.arn, len(health.targets)) for health in found] == [(by_arn, 0), (by_name, 1)]
    assert asked(world)[:2] == [("DescribeTargetGroups", REGION)] * 2


@pytest.mark.parametrize(
    ("binding", "says", "calls"),
    [
        pytest.param(bound(group_name="nobody"), "nobody", ["DescribeTargetGroups"], id="name AWS does not know"),
        pytest.param(bound(UNKNOWN), "gone", None, id="ARN AWS does not know"),
        pytest.param(bound("arn:aws:s3:::bucket"), "arn:aws:s3:::bucket", [], id="ARN of something else"),
        pytest.param(bound(f"{UNKNOWN}/more"), f"{UNKNOWN}/more", [], id="ARN with a tail"),
        pytest.param(bound(), "(nothing)", [], id="neither ARN nor name"),
    ],
)
def test_a_binding_that_leads_nowhere_is_named(world, health, binding, says, calls):
    """A group that AWS cannot know is TargetGroupNotFound and says which one; a malformed ARN never reaches AWS."""
    world.aws.target_group("another")

    with pytest.raises(CannotTell) as refused:
        health(bound(world.aws.target_group("good")), binding)

    assert refused.value.reason is Reason.TARGET_GROUP_NOT_FOUND
    assert says in str(refused.value)
    if calls is not None:
        assert [call.name for call in world.aws.calls] == calls


def test_no_targets_and_no_rule_are_answers(world, health):
    """A group without targets is empty, one in no listener rule is not in use: both are evidence, not errors."""
    idle = world.aws.target_group("idle", attached=False, target_type="instance")

    (found,) = health(bound(idle))

    assert (found.targets, found.group.in_use, found.group.target_type) == ((), False, "instance")


def test_answers_are_in_the_order_of_the_bindings(world, health):
    """Each binding gets its own group's health, in order, also when two bindings share one group."""
    first, second = world.aws.target_group("first"), world.aws.target_group("second")
    world.aws.load_balancers.pin(first, "10.0.0.1", 8080, "healthy")
    world.aws.load_balancers.pin(second, "10.0.0.2", 8080, "draining", "Target.DeregistrationInProgress")
    bindings = [bound(second, name="a"), bound(first, name="b"), bound(second, name="c")]

    found = health(*bindings)

    assert [health.binding for health in found] == bindings
    assert [health.group.name for health in found] == ["second", "first", "second"]
    assert [[target.id for target in health.targets] for health in found] == [["10.0.0.2"], ["10.0.0.1"], ["10.0.0.2"]]


def test_one_address_with_two_ports_is_two_targets(world, health):
    """Targets are told apart by address and port: a pod that is healthy on one port says nothing about the other."""
    arn = world.aws.target_group("ports")
    world.aws.load_balancers.pin(arn, "10.0.0.1", 8080, "healthy")
    world.aws.load_balancers.pin(arn, "10.0.0.1", 9090, "unhealthy", "Target.FailedHealthChecks")

    (found,) = health(bound(arn))

    assert [(target.id, target.port, target.state) for target in found.targets] == [
        ("10.0.0.1", 8080, "healthy"),
        ("10.0.0.1", 9090, "unhealthy"),
    ]


def test_pages_of_target_groups_are_joined(world, health):
    """DescribeTargetGroups is read to its last page, each page by the marker of the one before."""
    first, second = world.aws.target_group("first"), world.aws.target_group("second")
    marker = base64.b64encode(b"1").decode()
    page = (
        '<DescribeTargetGroupsResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">'
        f"<DescribeTargetGroupsResult><TargetGroups><member><TargetGroupArn>{first}</TargetGroupArn>"
        "<TargetGroupName>first</TargetGroupName><TargetType>ip</TargetType><LoadBalancerArns/>"
        "<HealthCheckIntervalSeconds>99</HealthCheckIntervalSeconds>"
        "<UnhealthyThresholdCount>9</UnhealthyThresholdCount></member></TargetGroups>"
        f"<NextMarker>{marker}</NextMarker></DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
    )
    world.aws.faults.add("DescribeTargetGroups", body=page, content_type="text/xml", times=1)

    found = health(bound(first), bound(second))

    # The real second page holds only `second`; without the marker it would hold `first` again, with its real settings.
    assert [(health.group.name, health.group.health_check_interval_seconds) for health in found] == [
        ("first", 99),
        ("second", 15),
    ]
    assert asked(world).count(("DescribeTargetGroups", REGION)) == 2


def test_a_group_that_the_answer_leaves_out_is_no_evidence(world, health):
    """A group that was asked for and is not in the answer is AwsMalformed, never a group without settings."""
    arn = world.aws.target_group("web")
    empty = "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups/></DescribeTargetGroupsResult>"
    world.aws.faults.add("DescribeTargetGroups", body=f"{empty}</DescribeTargetGroupsResponse>")

    with pytest.raises(CannotTell) as refused:
        health(bound(arn))

    assert refused.value.reason is Reason.AWS_MALFORMED


@pytest.mark.parametrize("operation", ["DescribeTargetGroups", "DescribeTargetHealth"])
def test_a_throttled_call_is_tried_as_often_as_promised(world, health, operation):
    """Throttling is retried once and no more, since each try is paid from the time of one question."""
    arn = world.aws.target_group("web")
    world.aws.faults.aws_error(operation, "Throttling", "Rate exceeded")

    with pytest.raises(CannotTell) as refused:
        health(bound(arn))

    assert refused.value.reason is Reason.AWS_THROTTLED
    assert asked(world).count((operation, REGION)) == ATTEMPTS == 2


def test_one_throttled_answer_is_no_error(world, health):
    """A brief throttle is retried and not seen by the caller."""
    arn = world.aws.target_group("web")
    world.aws.load_balancers.pin(arn, "10.0.0.1", 8080, "healthy")
    world.aws.faults.aws_error("DescribeTargetHealth", "Throttling", "Rate exceeded", times=1)

    (found,) = health(bound(arn))

    assert len(found.targets) == 1


def test_without_a_region_only_names_cannot_be_resolved(world, sources, environment, metrics, monkeypatch):
    """An ARN carries its region; a name without any configured region is AwsRegionMissing and says what to set."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{environment['KUBECONFIG']}.none")
    account = Account(boto3.Session(), connect_timeout_seconds=1, read_timeout_seconds=1, pool_size=4)
    reader = LoadBalancers(account, sources.shared, metrics, calls_per_second=5)
    arn = world.aws.target_group("web")
    deadline = Deadline(10)

    (found,) = reader.health((bound(arn),), deadline)
    with pytest.raises(CannotTell, match="needed for web: set AWS_REGION") as refused:
        reader.health((bound(group_name="web"),), deadline)

    assert found.group.name == "web"
    assert refused.value.reason is Reason.AWS_REGION_MISSING


def test_the_first_call_tells_that_aws_answers(world, sources):
    """One small call warms the connection at the start; a refusal reaches the caller by name and is an answer too."""
    world.aws.faults.aws_error("DescribeTargetGroups", "AccessDenied", "no", status=403, times=1)
    deadline = Deadline(10)
    before = sources.load_balancers.answered

    with pytest.raises(CannotTell, match="elasticloadbalancing:DescribeTargetGroups"):
        sources.load_balancers.ping(deadline)
    after = sources.load_balancers.answered
    sources.load_balancers.ping(deadline)

    assert (before, after) == (False, True)
    assert asked(world) == [("DescribeTargetGroups", REGION)] * 2


def test_cloudtrail_shows_the_provider(account):
    """Requests name the program and its version, as CloudTrail shows their caller."""
    sent = []
    client = account.client("elbv2", Place(REGION))
    client.meta.events.register("before-send.*", lambda request, **_: sent.append(request.headers["User-Agent"]))

    client.describe_target_groups(PageSize=1)

    assert sent == [f"alb-provider/{__version__} Botocore/{botocore.__version__}".encode()]


LONG = "w" * 100_000


def test_what_aws_says_is_cut_to_2_kib(world, health):
    """A description, a reason and another unknown word of a target are cut; an id that is too long is no other id."""
    arn = world.aws.target_group("web")
    for end in ("a", "b"):
        world.aws.load_balancers.pin(arn, LONG + end, 8080, "unhealthy", LONG, LONG)

    (found,) = health(bound(arn))

    assert len({target.id for target in found.targets}) == 2
    texts = [text for target in found.targets for text in (target.id, target.state, target.reason, target.description)]
    assert max(map(len, texts)) == 2048


def test_a_long_error_of_aws_is_logged_cut(world, health, caplog):
    """Of an error's message 2 KiB are kept, so that neither a cached failure nor the log holds a whole page."""
    arn = world.aws.target_group("web")
    world.aws.faults.aws_error("DescribeTargetHealth", "AccessDenied", LONG, status=403)

    with pytest.raises(CannotTell, match="AccessDenied") as refused:
        health(bound(arn))

    assert refused.value.reason is Reason.AWS_FORBIDDEN
    (cause,) = [record.cause for record in caplog.records if hasattr(record, "cause")]
    assert "www" in cause
    assert len(cause) < 2500
