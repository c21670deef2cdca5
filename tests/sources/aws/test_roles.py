"""Target groups of other accounts, over HTTP: who is asked about them, as whom, and who is never asked."""

import json
import re
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provider.checks import QUESTIONS
from provider.handover import Handovers
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Freshness, Place
from provider.rules.counts import REQUESTS, TARGET_5XX
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.registrations import Registrations
from provider.sources.aws.roles import MAX_SESSIONS, READS, SESSION_NAME, WRITES, Roles
from provider.sources.aws.session import ATTEMPTS
from provider.sources.deadline import Deadline
from tests import ROOT
from tests.app import create_app
from tests.each import each
from tests.scene import GREEN, Scene
from tests.server import PATIENCE
from tests.sources.aws.other_account import ACCOUNT_ID, ROLE, OtherAccount
from tests.world.aws.api import REGION
from tests.world.aws.cloudwatch import CloudWatch, Datum
from tests.world.cluster import objects

UNLISTED = f"arn:aws:iam::{ACCOUNT_ID}:role/admin"
FLAT = "namespace=shop&rollout=web"
HEALTH = f"/v1/target-health?{FLAT}"
ERRORS = f"/v1/errors?{FLAT}"
MINUTE = timedelta(minutes=1)
EXTERNAL_ID = "shop-team"
SECRETS = re.compile(r"ASIA\w+|FwoG\w+|FQoG\w+|X-Amz|SecretAccessKey")


@pytest.fixture
def roles(aws_models):
    return Roles(frozenset({ROLE}), aws_models)


@pytest.fixture
def timeouts():
    """Longer than elsewhere: the first session of a role is made within a question."""
    return {"connect_timeout_seconds": 1, "read_timeout_seconds": 1}


@pytest.fixture
def sources(sources):
    return replace(sources, budget_seconds=8)


@pytest.fixture
def other(world):
    account = OtherAccount(world)
    yield account
    account.clear()


def bind(scene, arn, role=ROLE, external_id=EXTERNAL_ID, **more):
    """Let green's binding name a target group that is reached as a role."""
    more |= {"iamRoleArnToAssume": role} | ({"assumeRoleExternalId": external_id} if external_id else {})
    scene.arn = arn or scene.arn
    scene.put(objects.target_group_binding(f"k8s-shop-{scene.preview}", service=scene.preview, arn=arn or None, **more))
    for ip in scene.addresses:
        scene.pin(ip, "healthy")


@pytest.fixture
def abroad(scene, other):
    """Green's target group is in the other account; nothing has been asked yet."""
    bind(scene, other.target_group("theirs"))
    scene.world.aws.faults.forget_calls()
    return scene


def test_a_listed_role_is_assumed_once_and_signs_every_call(abroad, other, client):
    """Health is asked with the role's own keys, which were asked for once, by the provider, with the external id."""
    answers = [client.get(HEALTH).json for _ in range(2)]

    (session,) = other.sessions
    assert [answer["phase"] for answer in answers] == ["Successful"] * 2
    signed = other.signed(abroad.world.aws.calls)  # a busy machine may have a call made twice
    assert signed.count(("AssumeRole", False)) == 1
    assert set(signed) == {("AssumeRole", False), ("DescribeTargetGroups", True), ("DescribeTargetHealth", True)}
    assert (session.role_arn, session.external_id, session.session_name) == (ROLE, EXTERNAL_ID, SESSION_NAME)
    assert SECRETS.search(json.dumps(answers)) is None


@pytest.mark.usefixtures("abroad")
def test_a_session_may_only_read(other, client):
    """Whatever the role may do, its session is limited to the reads of the provider's and of preflight's policy."""
    client.get(HEALTH)
    policies = [
        json.loads((ROOT / "deploy" / f"{name}iam-policy.json").read_text("utf-8")) for name in ("", "preflight-")
    ]

    (session,) = other.sessions
    (statement,) = json.loads(session.policy)["Statement"]
    assert statement["Action"] == list(READS)
    assert sorted(READS) == sorted(
        action for policy in policies for statement in policy["Statement"] for action in statement["Action"]
    )


@pytest.fixture
def canary(scene, other):
    """A plain canary at weight 0 whose two target groups are in the other account."""
    steps = [{"setCanaryScale": {"weight": 100}}, {"setWeight": 0}]
    canary = {"stableService": "web-active", "canaryService": scene.preview, "steps": steps}
    scene.rollout["spec"]["strategy"] = {"canary": canary}
    bind(scene, other.target_group("preview"))
    more = {"iamRoleArnToAssume": ROLE, "assumeRoleExternalId": EXTERNAL_ID}
    production = other.target_group("production", weight=0)
    scene.put(objects.target_group_binding("active", service="web-active", arn=production, **more))
    return scene


def actions_by_policy(other, calls):
    """The actions called with each session policy of the role, by the actions that the policy allows."""
    iam_prefixes = {"GetMetricData": "cloudwatch"}
    used: defaultdict[frozenset[str], set[str]] = defaultdict(set)
    for session in other.sessions:
        (statement,) = json.loads(session.policy)["Statement"]
        names = {call.name for call in calls if session.access_key_id in (call.authorization or "")}
        actions = {f"{iam_prefixes.get(name, 'elasticloadbalancing')}:{name}" for name in names}
        used[frozenset(statement["Action"])] |= actions
    return used


@pytest.mark.parametrize("question", [*QUESTIONS, "preflight"])
def test_every_question_works_as_a_role(canary, other, client, question):
    """What AWS answers for groups of another account is never that the session policy lacks an action."""
    body = {"namespace": "shop", "rollout": "web"}
    found = client.get(f"/v1/{question}", query_string=body).get_json()

    (used,) = actions_by_policy(other, canary.world.aws.calls).values() or [set()]
    assert found.get("reason") != "AwsForbidden"
    assert found.get("notChecked", []) == []
    assert used <= set(READS)
    assert (used == set(READS)) is (question == "preflight")


def look_until_called(loop, world, operation):
    """Let the loop look, until it has called an operation."""
    end = time.monotonic() + PATIENCE
    while all(call.name != operation for call in world.aws.calls) and time.monotonic() < end:
        for pending in loop.look():
            pending.result()
        time.sleep(0.1)


def test_a_canary_in_another_account_is_handed_over_and_taken_back(
    canary, other, sources, account, metrics, aws_models
):
    """Handover reads with one session of the role and writes with another; neither policy lacks an action."""
    writing = replace(account, roles=Roles(frozenset({ROLE}), aws_models, WRITES))
    registrations = Registrations(writing, sources.shared.threads, metrics)
    loop = (handovers := Handovers(sources, registrations, metrics, "platform", idle_seconds=60)).loop
    client = create_app(sources, metrics, handovers=handovers).test_client()

    body = {"namespace": "shop", "rollout": "web", "podTemplateHash": GREEN}
    found = client.post("/v1/handover", json=body).get_json()
    look_until_called(loop, canary.world, "RegisterTargets")
    canary.rollout["status"] |= {"abort": True, "abortedAt": objects.timestamp(datetime.now(UTC))}
    canary.put()
    look_until_called(loop, canary.world, "DeregisterTargets")

    used = actions_by_policy(other, canary.world.aws.calls)
    assert found["reason"] == "HandoverWaiting"
    assert used.pop(frozenset(WRITES)) == set(WRITES)
    assert used.keys() == {frozenset(READS)}
    assert {"elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeRules"} <= used[frozenset(READS)]


def test_metrics_are_read_where_the_group_is(abroad, other, client):
    """CloudWatch, and the load balancer's other target groups, are asked in the account of the target group."""
    end = datetime.now(UTC).replace(second=0, microsecond=0) - 2 * MINUTE
    balancer, long_ago = other.network.load_balancer("theirs", REGION).arn, end - 30 * MINUTE
    abroad.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(long_ago)
    active = objects.service("web-active", selector=abroad.service["spec"]["selector"], selector_written_at=long_ago)
    more = {"iamRoleArnToAssume": ROLE, "assumeRoleExternalId": EXTERNAL_ID}
    abroad.put(active, objects.target_group_binding("active", service="web-active", arn=abroad.arn, **more))
    minutes = [end - number * MINUTE for number in range(-1, 5)]
    counts = [(abroad.arn, REQUESTS, 50), (None, REQUESTS, 50), (None, "HTTPCode_ELB_5XX_Count", 25)]
    CloudWatch(other.client).publish(
        [Datum(balancer, group, name, minute, count) for group, name, count in counts for minute in minutes]
    )
    abroad.world.aws.faults.forget_calls()

    alone = client.get(ERRORS).json
    calls = other.signed(abroad.world.aws.calls)
    other.target_group("neighbour")
    shared = client.get(ERRORS).json

    assert (alone["phase"], alone["reason"]) == ("Failed", "LoadBalancerErrors")
    assert calls[0] == ("AssumeRole", False)
    assert sorted(calls[1:]) == [
        ("DescribeTargetGroups", True),
        ("DescribeTargetGroups", True),
        ("GetMetricData", True),
    ]
    assert shared["reason"] == "LoadBalancerShared"


def test_a_name_is_resolved_in_the_roles_account(world, scene, other, client):
    """Of two target groups of the same name the one in the binding's account is meant, also while both are known."""
    mine, theirs = world.aws.target_group("named"), other.target_group("named")
    bind(scene, "", target_group_name="named")
    for ip in scene.addresses:
        world.aws.load_balancers.pin(theirs, ip, 8080, "healthy")
        world.aws.load_balancers.pin(mine, ip, 8080, "draining")

    abroad = client.get(HEALTH).json
    scene.put(objects.target_group_binding("k8s-shop-web-preview", service="web-preview", target_group_name="named"))
    at_home = client.get(HEALTH).json

    assert (abroad["reason"], at_home["reason"]) == ("TargetsHealthy", "TargetsDraining")


@pytest.mark.parametrize("question", ["target-health", "errors"])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_role_that_is_not_listed_blocks_without_a_call(scene, other, client, question, by_name):
    """An unlisted role is BindingNeedsRole, which names binding, role and setting; AWS is asked nothing at all."""
    arn = "" if by_name else other.target_group("theirs")
    bind(scene, arn, role=UNLISTED, **({"target_group_name": "theirs"} if by_name else {}))
    scene.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(datetime.now(UTC) - timedelta(hours=1))
    scene.put()
    scene.world.aws.faults.forget_calls()

    found = client.get(f"/v1/{question}?{FLAT}").json

    assert (found["phase"], found["reason"]) == ("Inconclusive", "BindingNeedsRole")
    for said in ("k8s-shop-web-preview", UNLISTED, "PROVIDER_ASSUME_ROLE_ARNS"):
        assert said in found["message"]
    assert scene.world.aws.calls == []


@pytest.mark.parametrize("listed", [True, False])
def test_blue_in_another_account(scene, other, client, listed):
    """Blue behind a listed role is compared with; behind another it is left out, and green is judged all the same."""
    end = datetime.now(UTC).replace(second=0, microsecond=0) - 2 * MINUTE
    minutes, long_ago = [end - number * MINUTE for number in range(-1, 5)], end - 30 * MINUTE
    scene.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(long_ago)
    scene.service = objects.service(
        scene.preview, selector=scene.service["spec"]["selector"], selector_written_at=long_ago
    )
    blue, balancer = other.target_group("blue"), other.network.load_balancer("theirs", REGION).arn
    more = {"iamRoleArnToAssume": ROLE if listed else UNLISTED}
    scene.put(objects.target_group_binding("blue", service="web-active", arn=blue, **more))
    for group in (scene.arn, None):
        scene.world.aws.publish(scene.world.aws.load_balancer(), group, REQUESTS, dict.fromkeys(minutes, 50))
    theirs = [(blue, REQUESTS, 1000), (blue, TARGET_5XX, 1), (None, REQUESTS, 1000)]
    CloudWatch(other.client).publish(
        [Datum(balancer, group, name, minute, count) for group, name, count in theirs for minute in minutes]
    )

    found = client.get(ERRORS).json

    assert (found["phase"], found["reason"]) == ("Successful", "ErrorsWithinLimit")
    assert ("blue failed 3 of 3000 requests (0.1 %)" in found["message"]) is listed
    assert len(other.sessions) == listed


@pytest.mark.parametrize(
    ("code", "status", "reason", "says"),
    [
        ("AccessDenied", 403, "AwsCredentials", "trust policy"),
        ("ExpiredTokenException", 400, "AwsCredentials", "rejects the provider's credentials"),
        ("Throttling", 400, "AwsThrottled", "throttles sts:AssumeRole"),
        ("ServiceUnavailable", 503, "AwsUnavailable", "error (503"),
    ],
)
def test_a_role_that_cannot_be_assumed_is_named(abroad, client, wall_clock, code, status, reason, says):
    """What STS refuses blocks with the role's name and what to do; when it gives in, so does the answer."""
    faults = abroad.world.aws.faults
    faults.aws_error("AssumeRole", code, "User: arn:aws:iam::1:user/x is not authorized", status)
    blocked = client.get(HEALTH).json
    faults.clear()
    wall_clock.advance(1.1)
    while (found := client.get(HEALTH).json)["phase"] == "Inconclusive":  # a refusal stands for a second
        assert found["reason"] == reason
        time.sleep(0.05)

    assert (blocked["phase"], blocked["reason"]) == ("Inconclusive", reason)
    assert says in blocked["message"]
    assert "sts:AssumeRole" in blocked["message"]
    assert (ROLE in blocked["message"]) is (code != "ExpiredTokenException")
    assert "not authorized" not in json.dumps(blocked)
    assert found["phase"] == "Successful"


def test_an_external_id_that_cannot_be_one_is_named(abroad, client):
    """An external id that botocore itself refuses (one letter) is AwsCredentials of that role, not a defect."""
    bind(abroad, abroad.arn, external_id="x")

    found = client.get(HEALTH).json

    assert found["reason"] == "AwsCredentials"
    assert f"{ROLE} (the external id is not valid)" in found["message"]


def test_what_the_role_may_not_do_is_the_roles_fault(abroad, client):
    """An action that AWS forbids to the role is AwsForbidden and names that role, not the provider's own."""
    abroad.world.aws.faults.aws_error("DescribeTargetHealth", "AccessDenied", "no", 403)

    found = client.get(HEALTH).json

    assert found["reason"] == "AwsForbidden"
    assert (
        f"elasticloadbalancing:DescribeTargetHealth of theirs (AccessDenied): allow the action in role {ROLE}"
        in (found["message"])
    )


def given(expires_at):
    """STS's answer to AssumeRole, with credentials of its own that expire then."""
    return (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        "<AccessKeyId>ASIASHORTLIVED</AccessKeyId><SecretAccessKey>planted-secret</SecretAccessKey>"
        f"<SessionToken>planted-token</SessionToken><Expiration>{expires_at:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )


def test_a_role_is_assumed_anew_before_its_credentials_expire(abroad, other, client):
    """Credentials with five minutes left are replaced before they sign anything more."""
    soon = given(datetime.now(UTC) + 5 * MINUTE)
    abroad.world.aws.faults.add("AssumeRole", body=soon, content_type="text/xml", times=1)
    for _ in range(2):
        client.get(HEALTH)

    signed = [call.authorization for call in abroad.world.aws.calls if call.name == "DescribeTargetHealth"]
    assert len(other.sessions) == 1
    assert other.sessions[0].access_key_id in signed[-1]


def test_credentials_that_are_expired_already_are_named(abroad, client, caplog):
    """A clock that is wrong by more than an hour is AwsCredentials; no planted secret is answered or logged."""
    late = given(datetime.now(UTC) - MINUTE)
    abroad.world.aws.faults.add("AssumeRole", body=late, content_type="text/xml")

    found = client.get(HEALTH).json

    assert found["reason"] == "AwsCredentials"
    assert f"credentials of role {ROLE} that have expired already" in found["message"]
    assert "planted" not in json.dumps(found) + caplog.text


@pytest.mark.parametrize("body", ["<AssumeRoleResponse/>", "no XML"])
def test_an_answer_of_another_shape_is_malformed(abroad, client, body):
    """Whatever STS's answer lacks, the question is AwsMalformed and says that it was the role's."""
    abroad.world.aws.faults.add("AssumeRole", body=body, content_type="text/xml")

    found = client.get(HEALTH).json

    assert found["reason"] == "AwsMalformed"
    assert f"sts:AssumeRole of role {ROLE}" in found["message"]


def test_credentials_that_aws_rejects_are_given_up(abroad, other, client):
    """A role that was created again under its name invalidates its sessions: the next question assumes it again."""
    assert client.get(HEALTH).json["phase"] == "Successful"
    abroad.world.aws.faults.aws_error("DescribeTargetHealth", "InvalidClientTokenId", "no", 403, times=1)

    blocked, recovered = (client.get(HEALTH).json for _ in range(2))

    assert blocked["reason"] == "AwsCredentials"
    assert ROLE in blocked["message"]
    assert recovered["phase"] == "Successful"
    assert len(other.sessions) == 2


def test_evidence_of_one_external_id_is_none_for_another(abroad, other, sources, account, metrics, wall_clock):
    """Who names another external id, or none, gets no credentials and no evidence that were given for the right one."""
    wall_clock.stop()
    sharing = sources.shared
    sharing.freshness = Freshness()
    reader = LoadBalancers(account, sharing, metrics, calls_per_second=1000)
    right = Binding("right", "web", 80, abroad.arn, "", "IPv4", ROLE, EXTERNAL_ID)
    deadline = Deadline(10)
    assert len(reader.health((right, right), deadline)) == 2
    abroad.world.aws.faults.aws_error("AssumeRole", "AccessDenied", "no", 403)

    for wrong in (replace(right, external_id=""), replace(right, external_id="guessed")):
        with pytest.raises(CannotTell, match="assumeRoleExternalId") as refused:
            reader.health((wrong,), deadline)
        assert refused.value.reason is Reason.AWS_CREDENTIALS
    assert [session.external_id for session in other.sessions] == [EXTERNAL_ID]
    assert len(reader.health((right,), deadline)) == 1


def test_each_account_has_its_own_calls(world, other, sources, account, metrics):
    """While the home account's calls are used up, a Rollout of another account gets its answer, and the other way."""
    few = LoadBalancers(account, sources.shared, metrics, calls_per_second=0.5)
    client = create_app(replace(sources, load_balancers=few), metrics).test_client()
    for name in ("web", "late", "far"):
        scene = Scene(world, name=name).build()
    bind(scene, other.target_group("theirs"))

    reasons = [client.get(HEALTH.replace("web", name)).get_json()["reason"] for name in ("web", "late", "far")]

    assert reasons == ["TargetsHealthy", "AwsBudget", "TargetsHealthy"]


def test_a_question_reaches_its_own_namespaces_groups_only(world, other, client, account):
    """With the same Rollout and Service names in two namespaces, each question asks about its own binding's group."""
    mine = Scene(world).build()
    theirs = other.target_group("theirs")
    asked = []
    session: Any = account.session
    session.events.register(
        "provide-client-params.elastic-load-balancing-v2.*", lambda params, **_: asked.append(json.dumps(params))
    )
    for one in (mine.rollout, mine.replica_set, mine.service, *mine.pods):
        world.kubernetes.put({**one, "metadata": {**one["metadata"], "namespace": "team-b"}})
    for binding in (
        objects.target_group_binding(
            "b", namespace="team-b", service="web-preview", arn=theirs, iamRoleArnToAssume=ROLE
        ),
        objects.target_group_binding("home", namespace="team-b", service="web-preview", arn=f"{mine.arn}0"),
    ):
        world.kubernetes.put(binding)
    world.aws.faults.forget_calls()

    found = client.get(HEALTH).json
    calls = [call.name for call in world.aws.calls]

    assert found["phase"] == "Successful"
    assert set(calls) == {"DescribeTargetGroups", "DescribeTargetHealth"}  # a busy machine may repeat a call
    assert other.sessions == []
    assert len(asked) == 2
    assert all(f'"{mine.arn}"' in one for one in asked)


FOREIGN = ("targetGroupArn", "roleArn", "iamRoleArnToAssume", "externalId", "endpointUrl", "url", "region")


@each("question, name", {f"{question} {name}": (question, name) for question in QUESTIONS for name in FOREIGN})
@pytest.mark.usefixtures("scene")
def test_no_parameter_carries_an_arn_a_role_or_a_url(world, client, question, name):
    """A query that names a target group, a role, an endpoint or a region is refused without any upstream call."""
    world.aws.faults.forget_calls()
    world.kubernetes_faults.forget_calls()

    answers = [
        client.get(f"/v1/{question}", query_string={"namespace": "shop", "rollout": "web", name: ROLE}),
        client.post(f"/v1/{question}", json={"namespace": "shop", "rollout": "web", name: ROLE}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all(name in answer.get_json()["detail"] for answer in answers)
    assert world.aws.calls == world.kubernetes_faults.calls == []


@pytest.mark.parametrize("value", [ROLE, "https://example.com", "http:example"])
@each("question", {question: question for question in QUESTIONS})
def test_no_name_can_be_an_arn_or_a_url(client, question, value):
    """The parameters that are names take neither a colon nor a slash, so no ARN, role or URL fits into one."""
    taken = QUESTIONS[question].query.model_json_schema(by_alias=True)["properties"]
    texts = [name for name, schema in taken.items() if _is_text(schema)]

    codes = {
        name: client.get(
            f"/v1/{question}", query_string={"namespace": "shop", "rollout": "web"} | {name: value}
        ).status_code
        for name in texts
    }

    assert {"namespace", "rollout", "podTemplateHash", "service"} <= set(codes)
    assert set(codes.values()) == {400}


def _is_text(schema):
    return any(variant.get("type") == "string" or "enum" in variant for variant in schema.get("anyOf", [schema]))


def test_a_name_that_is_a_load_balancers_arn_disturbs_nobody(world, sources, metrics, account):
    """A binding whose targetGroupName is a load balancer's ARN is no group, also when that ARN's groups are known."""
    sharing = sources.shared
    sharing.freshness = Freshness()
    reader, deadline = LoadBalancers(account, sharing, metrics, calls_per_second=1000), Deadline(10)
    group, balancer = world.aws.target_group("web"), world.aws.load_balancer()
    (known,) = reader.groups((Binding("web", "web", 80, group, "", "IPv4", ""),), deadline)
    assert reader.target_groups.attached(balancer, known.value.place, deadline) == {group}

    with pytest.raises(CannotTell) as refused:
        reader.groups((Binding("odd", "web", 80, "", balancer, "IPv4", ""),), deadline)

    assert refused.value.reason in {Reason.TARGET_GROUP_NOT_FOUND, Reason.AWS_REJECTED}


def test_the_permission_is_documented():
    """Both pages on permissions ask for sts:AssumeRole, on the listed roles, with the setting's own name."""
    security = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    deploy = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    policies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", deploy, re.DOTALL)]

    trust, own = (policy["Statement"][0] for policy in policies)
    assert "`sts:AssumeRole` on the roles in `PROVIDER_ASSUME_ROLE_ARNS`" in security
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "<the bindings' assumeRoleExternalId>"}}
    assert "sts:AssumeRole" in trust["Action"]
    assert "sts:AssumeRole" in own["Action"]
    assert "*" not in own["Resource"]


def test_an_sts_that_hangs_is_waited_for_once(abroad, other, sources):
    """Ten groups of one role cost one wait for a hanging STS, not ten one after another; meanwhile home is read."""
    arns = [other.target_group(f"theirs-{number}") for number in range(10)]
    bindings = tuple(Binding(f"b{n}", "web", 80, arn, "", "IPv4", ROLE, EXTERNAL_ID) for n, arn in enumerate(arns))
    home = Binding("home", "web", 80, abroad.world.aws.target_group("home"), "", "IPv4", "")
    abroad.world.aws.faults.forget_calls()
    abroad.world.aws.faults.add("AssumeRole", delay_seconds=60)

    with pytest.raises(CannotTell) as refused:
        sources.load_balancers.health(bindings, Deadline(10))
    (found,) = sources.load_balancers.health((home,), Deadline(10))
    hung = [call.name for call in abroad.world.aws.calls].count("AssumeRole")
    abroad.world.aws.faults.clear()

    assert refused.value.reason is Reason.AWS_TIMEOUT
    assert f"sts:AssumeRole of role {ROLE}" in str(refused.value)
    assert hung == ATTEMPTS
    assert found.group.name == "home"


def test_sessions_are_bounded(account, world):
    """However many external ids bindings name, only the sessions used last are kept."""
    places = [Place(REGION, ROLE, f"id-{number}") for number in range(MAX_SESSIONS + 1)]
    sessions = [account.roles.session(place, account.session, account.config) for place in places]

    again = [account.roles.session(place, account.session, account.config) for place in (places[-1], places[0])]

    assert again[0] is sessions[-1]
    assert again[1] is not sessions[0]
    assert world.aws.calls == []
