"""What this replica answered and saw is remembered, within bounds."""

from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from provider.checks.parameters import Query
from provider.checks.question import cannot_tell
from provider.history.journal import FORGET_AFTER, MOST_ROLLOUTS, Journal
from provider.history.remembered import MOST_CHANGES, MOST_SAMPLES, Sample
from provider.history.switches import Switches
from provider.http.app import create_app
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from tests.records import NOW
from tests.scene import GREEN, Scene

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
HISTORY = "/v1/history?namespace=shop&rollout=web"
WEB = ("shop", "web")


@pytest.fixture
def journal(metrics, wall_clock):
    return Journal(metrics, wall_clock)


@pytest.fixture
def switches(metrics, wall_clock, journal):
    return Switches(metrics, wall_clock, journal)


@pytest.fixture
def client(sources, metrics, switches):
    return create_app(sources, metrics, switches=switches).test_client()


def info_in(metrics):
    """The label sets of the info metric."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("alb_provider_rollout_info{")]


def test_a_change_is_remembered_and_a_repetition_is_not(scene, client, metrics):
    """Each change of phase or reason is one entry, the newest first, and the info metric shows the last one only."""
    for _ in range(3):
        client.get(HEALTH)
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    for _ in range(2):
        client.get(HEALTH)

    changes = client.get(HISTORY).json["changes"]

    assert [(one["phase"], one["reason"], one["endpoint"]) for one in changes] == [
        ("Inconclusive", "TargetsInitial", "target-health"),
        ("Successful", "TargetsHealthy", "target-health"),
    ]
    assert all(one["podTemplateHash"] == GREEN and one["stage"] == "BeforeSwitch" for one in changes)
    assert "2 of 3 green targets healthy" in changes[0]["message"]
    [line] = info_in(metrics)
    assert 'reason="TargetsInitial"' in line


def test_queries_have_answers_of_their_own(scene, client):
    """Two queries that get different answers in turn are not a change each time."""
    scene.pin(scene.addresses[0], "initial")
    for _ in range(3):
        client.get(HEALTH)
        client.get(HEALTH + "&minHealthyPercent=50")

    assert len(client.get(HISTORY).json["changes"]) == 2


@pytest.mark.usefixtures("scene")
def test_nobody_asked(client):
    """Of a Rollout that nobody queried the history is empty, whether or not it exists."""
    for rollout in ("web", "none"):
        found = client.get(f"/v1/history?namespace=shop&rollout={rollout}").json
        assert (found["changes"], found["switches"], found["rollout"]) == ([], [], rollout)


@pytest.mark.parametrize(
    ("query", "parameter"), [("", "namespace"), ("namespace=shop&rollout=", "rollout"), ("stage=x", "stage")]
)
def test_the_parameters_are_checked(client, query, parameter):
    """Like every endpoint it refuses a parameter that is missing, empty or unknown."""
    response = client.get(f"/v1/history?{query}")

    assert response.status_code == 400
    assert parameter in [one["parameter"] for one in response.json["errors"]]


def test_a_switch_is_seen(scene, client, world, switches, sources, wall_clock):
    """After a switch the history says when it was, that a pass preceded it, how long the gap may have been, and 5xx."""
    scene.bind_active()
    client.get("/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health")
    switches.look(WEB, sources)
    scene.switch(promoted=False)
    switches.look(WEB, sources)
    client.get(HEALTH)
    wall_clock.advance(4)
    client.get(HEALTH)
    for ip in scene.addresses:
        world.aws.load_balancers.pin(scene.active_arn, ip, 8080, "healthy")
    wall_clock.advance(2)
    client.get(HEALTH)

    [switch] = client.get(HISTORY).json["switches"]

    assert (switch["podTemplateHash"], switch["passPreceded"], switch["lookCount"]) == (GREEN, True, 3)
    assert 4 <= switch["withoutHealthyTargetAtLeastSeconds"] < 6
    assert 6 <= switch["withoutHealthyTargetAtMostSeconds"] < 12
    assert "errors" not in switch
    switches.journal.settle(sources)
    assert "errors" not in client.get(HISTORY).json["switches"][0]
    wall_clock.advance(400)
    switches.journal.settle(sources)
    assert client.get(HISTORY).json["switches"][0]["errors"]["minutes"] == 3


def test_errors_that_cannot_be_read_are_tried_once(scene, client, world, switches, sources, wall_clock):
    """If CloudWatch refuses the minutes of a switch it is not asked again for them, however often somebody queries."""
    scene.bind_active()
    client.get(HEALTH)
    switches.look(WEB, sources)
    scene.switch(promoted=False)
    switches.look(WEB, sources)
    client.get(HEALTH)
    world.aws.faults.aws_error("GetMetricData", "AccessDenied", "no", 403)
    world.aws.faults.forget_calls()
    wall_clock.advance(400)
    for _ in range(3):
        switches.journal.settle(sources)
        client.get(HEALTH)

    [switch] = client.get(HISTORY).json["switches"]
    assert [call.name for call in world.aws.calls].count("GetMetricData") == 1
    assert "errors" not in switch


@pytest.mark.usefixtures("scene")
def test_a_rollout_is_forgotten(client, journal, metrics, wall_clock):
    """Six hours after the last query nothing is left, nor is more kept than the maximum, nor a series."""
    client.get(HEALTH)
    known = len(journal.all())
    wall_clock.advance((FORGET_AFTER + timedelta(seconds=1)).total_seconds())

    assert (known, journal.all(), info_in(metrics)) == (1, [], [])
    for number in range(MOST_ROLLOUTS + 5):
        query = Query(namespace="shop", rollout=f"r{number}")
        journal.answered("gate", query, cannot_tell(CannotTell(Reason.AWS_TIMEOUT, "AWS did not answer"), {}))
    assert len(journal.all()) == len(info_in(metrics)) == MOST_ROLLOUTS


def test_what_is_kept_of_one_rollout_is_bounded(scene, client, journal):
    """However often an answer changes, only the newest changes and samples are kept."""
    for number in range(MOST_CHANGES + 10):
        scene.pin(scene.addresses[0], "initial" if number % 2 else "healthy")
        client.get(HEALTH)

    known = journal.find(WEB)

    assert len(known.changes) == MOST_CHANGES
    assert known.samples.maxlen == MOST_SAMPLES
    assert known.changes[-1].verdict.phase == "Inconclusive"


@pytest.mark.parametrize("desired", [1, 3, 6, 7, 250, 999, 1000])
def test_a_sample_counts_what_was_counted(desired):
    """The count that is shown is the one of the evidence, though only its percentage is kept."""
    for healthy in range(desired + 1):
        percent = (healthy * 1000 // desired) / 10
        assert Sample(NOW, GREEN, percent, desired).healthy == healthy


def test_evidence_is_dropped_before_answers(world, sources, metrics, wall_clock):
    """Beyond the maximum of records the evidence of what was queried longest ago goes, and its answers stay."""
    journal = Journal(metrics, wall_clock, most_records=12)
    client = create_app(sources, metrics, switches=Switches(metrics, wall_clock, journal)).test_client()
    for name in ("web", "other"):
        Scene(world, name=name).build()
        client.get(f"/v1/target-health?namespace=shop&rollout={name}")

    last, first = journal.all()

    assert (first.key, first.look, len(first.changes)) == (WEB, None, 1)
    assert last.look is not None
