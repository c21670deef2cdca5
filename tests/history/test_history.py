"""The history of a Rollout: what Argo was told is Argo's record, and only switches are this replica's memory."""

import pytest
from prometheus_client import generate_latest

from provider.history.explanation import LOOK_AFTER, MOST_ASKED
from provider.history.last_looks import MOST_ROLLOUTS
from provider.history.switches import Switches
from provider.http.access import TokenAccess
from provider.telemetry import Metrics
from tests.app import create_app
from tests.scene import BLUE, GREEN, Scene

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
HISTORY = "/v1/history?namespace=shop&rollout=web"
EXPLAIN = "/v1/explain?namespace=shop&rollout=web"
WEB = ("shop", "web")


@pytest.fixture
def switches(metrics, wall_clock):
    return Switches(metrics, wall_clock)


@pytest.fixture
def client(sources, metrics, switches):
    return create_app(sources, metrics, switches=switches).test_client()


def info_in(metrics):
    """The label sets of the info metric."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("alb_provider_rollout_info{")]


def test_what_argo_was_told_is_read_from_its_runs(client, scene):
    """Each AnalysisRun has its counters and measurements; what was said again is no change."""
    said = [("Inconclusive", 0, "0 of 3"), ("Inconclusive", 0, "0 of 3"), ("Successful", 100, "3 of 3")]
    first = scene.analysis_run("Inconclusive", measurements=said[:1], is_current=False)
    second = scene.analysis_run(measurements=said, number=1)

    found = client.get(HISTORY).json

    assert [(one["name"], one["analysis"], one["phase"]) for one in found["analysisRuns"]] == [
        (first, "prePromotionAnalysis", "Inconclusive"),
        (second, "prePromotionAnalysis", "Running"),
    ]
    [metric] = found["analysisRuns"][1]["metrics"]
    assert (metric["endpoint"], metric["successfulCount"], metric["inconclusiveCount"]) == ("gate", 1, 2)
    assert [(one["phase"], one["number"]) for one in metric["measurements"]] == [
        ("Successful", 100),
        ("Inconclusive", 0),
        ("Inconclusive", 0),
    ]
    assert [one["message"] for one in found["changes"] if one["analysisRun"] == second] == ["3 of 3", "0 of 3"]
    assert [one["podTemplateHash"] for one in found["versions"]] == [GREEN]
    assert found["notRead"] == []


def test_another_rollouts_runs_are_not_its_own(client, scene, world):
    """Two Rollouts with equal templates share a hash; only the owner tells whose a run is."""
    scene.analysis_run()
    Scene(world, name="other").build().analysis_run()

    assert [one["name"] for one in client.get(HISTORY).json["analysisRuns"]] == [f"web-{GREEN}-2-pre"]


def test_a_rollout_without_a_selector_has_its_history(client, scene):
    """A Rollout with a workloadRef has neither a template nor a selector; its versions have the images."""
    for field in ("selector", "template"):
        del scene.rollout["spec"][field]
    scene.rollout["spec"]["workloadRef"] = {"kind": "Deployment", "name": "web"}
    scene.analysis_run()

    told = client.get(EXPLAIN).json

    assert told["argo"]["images"] == ["registry.example/shop/app:1"]
    assert len(told["history"]["analysisRuns"]) == 1


def test_a_cluster_template_is_asked_as_argo_asks(client, scene):
    """Before its first AnalysisRun the query is that of the template, with the Rollout's arguments."""
    scene.template(kind="ClusterAnalysisTemplate")
    scene.analyse(clustered=True)

    [query] = client.get(EXPLAIN).json["queries"]

    assert (query["analysis"], query["metric"], query["endpoint"]) == ("prePromotionAnalysis", "alb-gate", "gate")
    assert query["parameters"]["podTemplateHash"] == GREEN
    assert (query["phase"], query["reason"]) == ("Successful", "AllChecksPassed")


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("gate?minHealthyPercent=900", "This provider refuses it (400): minHealthyPercent must be at most 100"),
        ("handover?stage=beforeSwitch", "Asked as gate with checks=replicas,target-health, since handover would"),
        ("gate?checks={{args.secret}}", "Asked without what comes from a Secret."),
    ],
)
def test_a_query_that_cannot_be_asked_says_why(client, scene, query, note):
    """What a person's look cannot send, or must not, is said."""
    template = scene.template(query=query)
    secret = {"name": "secret", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    template["spec"]["args"].append(secret)
    scene.put(template)
    scene.analyse()

    [shown] = client.get(EXPLAIN).json["queries"]

    assert shown["note"].startswith(note)


def test_a_template_cannot_make_a_look_at_another_rollout(client, scene, world):
    """What a person may see of one Rollout shows nothing of another, whatever its template asks about."""
    Scene(world, name="secret", namespace="bank").build()
    spec = scene.metric()
    spec["provider"]["web"]["url"] = "http://alb-provider:8080/v1/gate?namespace=bank&rollout=secret"
    scene.analysis_run(metrics=[spec])

    [query] = client.get(EXPLAIN).json["queries"]

    assert query["note"] == "It asks about Rollout bank/secret."
    assert "phase" not in query


def test_a_template_that_does_not_exist_is_named(client, scene):
    """What keeps Argo from asking is a sentence."""
    scene.analyse()

    told = client.get(EXPLAIN).json

    assert told["notRead"] == ["prePromotionAnalysis: AnalysisTemplate alb-gate does not exist", *told["notRead"][1:]]
    assert told["queries"][0]["note"] == "No analysis of this Rollout asks this provider."


def test_analyses_of_experiments_are_not_passed_over_in_silence(client, scene):
    """Of a canary with an experiment it is said that the analyses of Experiments are not read, and how to see them."""
    steps = [{"experiment": {"templates": []}}, {"setWeight": 50}]
    scene.rollout["spec"]["strategy"] = {"canary": {"canaryService": scene.preview, "steps": steps}}
    scene.put()

    [sentence] = [note for note in client.get(EXPLAIN).json["notRead"] if "experiment" in note]

    assert "`kubectl argo rollouts list experiments -n shop`" in sentence


def test_an_abort_keeps_its_cause(client, scene):
    """After an abort the explanation has the measurement that did it, and what a retry does."""
    scene.analysis_run("Failed", measurements=[("Failed", 0, "0 of 3: web-1 unhealthy (Target.Timeout)")])
    scene.rollout["status"] |= {"abort": True, "abortedAt": "2026-01-05T09:30:00Z", "phase": "Degraded"}
    scene.put()

    told = client.get(EXPLAIN).json

    assert (told["state"], told["action"]) == ("Aborted", "fix")
    assert "Argo aborted this version at 09:30:00 UTC: metric alb-gate of AnalysisRun" in told["sentence"]
    assert "0 of 3: web-1 unhealthy (Target.Timeout)" in told["sentence"]
    assert told["commands"][0]["command"] == "kubectl argo rollouts retry rollout web -n shop"


@pytest.mark.usefixtures("scene")
def test_the_info_metric_shows_the_last_answer(client, metrics, scene):
    """The info metric has phase and reason of the last answer to Argo, and of no older one."""
    client.get(HEALTH)
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    client.get(HEALTH)

    [line] = info_in(metrics)
    assert 'reason="TargetsInitial"' in line


def test_a_rollout_that_does_not_exist_has_no_history(client):
    """It is a 404, as for every query."""
    assert client.get(HISTORY).status_code == client.get(EXPLAIN).status_code == 404


@pytest.mark.usefixtures("scene")
def test_a_rollout_that_cannot_be_read_is_502(client, world):
    """What explains a Rollout needs the Rollout: a refusal names the permission."""
    world.kubernetes_faults.kubernetes_error("/rollouts", "Forbidden", "no", 403)

    for path in (HISTORY, EXPLAIN, "/v1/rollouts"):
        response = client.get(path)
        assert response.status_code == 502
        assert "rollouts.argoproj.io" in response.json["detail"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/history?", "namespace"),
        ("/v1/history?namespace=shop&rollout=", "rollout"),
        ("/v1/explain?stage=x", "stage"),
        ("/v1/rollouts?namespace=Shop", "namespace"),
        ("/v1/rollouts?rollout=web", "rollout"),
    ],
)
def test_the_parameters_are_checked(client, path, parameter):
    """Like every endpoint they refuse a parameter that is missing, empty, malformed or unknown."""
    response = client.get(path)

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
    assert switch["seenBy"] == "this replica"
    assert 4 <= switch["withoutHealthyTargetAtLeastSeconds"] < 6
    assert 6 <= switch["withoutHealthyTargetAtMostSeconds"] < 12
    assert "errors" not in switch
    switches.settle(sources)
    assert "errors" not in client.get(HISTORY).json["switches"][0]
    wall_clock.advance(400)
    switches.settle(sources)
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
        switches.settle(sources)
        client.get(HEALTH)

    [switch] = client.get(HISTORY).json["switches"]
    assert [call.name for call in world.aws.calls].count("GetMetricData") == 1
    assert "errors" not in switch


def test_evidence_is_bounded(world, sources, metrics, wall_clock):
    """Beyond the maximum of records the evidence of what was looked at longest ago goes."""
    switches = Switches(metrics, wall_clock, most_records=12)
    client = create_app(sources, metrics, switches=switches).test_client()
    for name in ("web", "other"):
        Scene(world, name=name).build()
        client.get(f"/v1/target-health?namespace=shop&rollout={name}")

    assert switches.looks.of(WEB) is None
    assert switches.looks.of(("shop", "other")) is not None


@pytest.mark.usefixtures("scene")
def test_the_last_rollouts_are_kept(client, metrics):
    """However many Rollouts are queried, no more than the maximum have a series."""
    for number in range(MOST_ROLLOUTS + 5):
        client.get(f"/v1/target-health?namespace=shop&rollout=none-{number}")
    client.get(HEALTH)

    assert len(info_in(metrics)) <= MOST_ROLLOUTS


def test_a_stable_rollout_is_asked_without_its_stage(client, scene):
    """Once nothing is rolled out the gate's own stage would only be refused, so it is left out, and that is said."""
    scene.template()
    scene.analyse()
    scene.rollout["status"] |= {"stableRS": GREEN, "currentPodHash": GREEN, "phase": "Healthy"}
    scene.put()

    told = client.get(EXPLAIN).json

    assert told["state"] == "Stable"
    assert told["queries"][0]["note"] == "Asked without stage, since nothing is rolled out."
    assert told["queries"][0]["phase"] == "Successful"
    assert BLUE not in told["sentence"]


def test_a_list_is_for_a_tokens_namespaces(sources, tmp_path, world):
    """A token of one team lists its namespaces, and is refused another's."""
    for name, namespace in (("web", "shop"), ("pay", "bank")):
        Scene(world, name=name, namespace=namespace).build()
    file = tmp_path / "tokens"
    file.write_text("Zp7LdN2sHf4QjUe9 shop\n")
    client = create_app(sources, Metrics(), access=TokenAccess(file)).test_client()
    token = {"Authorization": "Bearer Zp7LdN2sHf4QjUe9"}

    listed = client.get("/v1/rollouts", headers=token).get_json()

    assert [one["namespace"] for one in listed["rollouts"]] == ["shop"]
    assert client.get("/v1/rollouts?namespace=bank", headers=token).status_code == 403


def test_a_sick_green_is_not_to_be_promoted(client, scene, wall_clock):
    """While Argo waits for a person to promote it, an answer that is no pass says not to."""
    scene.rollout["spec"]["strategy"]["blueGreen"]["autoPromotionEnabled"] = False
    scene.rollout["status"]["pauseConditions"] = [{"reason": "BlueGreenPause", "startTime": "2026-01-05T09:30:00Z"}]
    scene.put()
    fine = client.get(EXPLAIN).json["sentence"]
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    wall_clock.advance(LOOK_AFTER.total_seconds())
    waiting = client.get(EXPLAIN).json["sentence"]

    assert "do not promote" not in fine
    assert waiting.endswith("The answer now is Inconclusive: do not promote it yet.")


def test_a_look_asks_only_so_many_queries(client, scene):
    """Whoever writes a template with twenty metrics does not make a page ask twenty queries."""
    scene.analysis_run(metrics=[scene.metric(f"gate-{number}") for number in range(20)])

    assert len(client.get(EXPLAIN).json["queries"]) == MOST_ASKED


def test_a_look_ends_in_time(scene, impatient, metrics):
    """When AWS does not answer, the first query takes the time limit and the others say that they were not asked."""
    scene.analysis_run(metrics=[scene.metric("first"), scene.metric("second", "target-health?stage=beforeSwitch")])
    scene.world.aws.faults.add("DescribeTargetHealth", delay_seconds=120)
    hurried = create_app(impatient, metrics).test_client()

    first, second = hurried.get(EXPLAIN).get_json()["queries"]
    scene.world.aws.faults.clear()

    assert first["reason"] == "DeadlineExceeded"
    assert second["note"] == "Not asked: the time limit of this look is over."
