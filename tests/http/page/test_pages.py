"""The status page: what it shows, who may see it, and that it costs nothing that a query would not."""

import html
import re
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from provider.history.explanation import LOOK_AFTER
from provider.http.access import TokenAccess
from provider.model.reasons import Reason
from provider.telemetry import Metrics
from tests.app import create_app
from tests.scene import GREEN, Scene

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
WEB = "/rollouts/shop/web"
TEAM, OTHER = "Zp7LdN2sHf4QjUe9", "Fh5TyV9cGb1WkRo3"


def page(client, path=WEB, **more):
    """The text that a person reads on a page, blanks joined."""
    response = client.get(path, headers=BROWSER, **more)
    assert response.status_code == 200, response.text
    assert response.content_type == "text/html; charset=utf-8"
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def test_a_page_tells_why(client, scene):
    """A Rollout's page has its state, what to do, what Argo asks with the answer now, and how to ask oneself."""
    scene.template()
    scene.analyse()
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")

    text = page(client)

    for part in (
        "Wait Progressing Argo goes on by itself. kubectl argo rollouts get rollout web -n shop",
        "alb-gate prePromotionAnalysis",
        "Inconclusive TargetsInitial",
        "2 of 3 green targets healthy in k8s-shop-web-preview; 1 initial (Elb.InitialHealthChecking)",
        GREEN,
        "before the switch",
        "Answered 0 s ago for this page, which is no answer to Argo.",
        "2 of 3 web-preview ip HTTP /, port traffic-port, codes 200",
        f"web-{GREEN}-0000 initial 10.0.0.1 Elb.InitialHealthChecking Initial health checks in progress",
        "2 more, all healthy. Show all 3 pods",
        (
            f"curl 'http://localhost/v1/gate?checks=replicas,target-health&stage=beforeSwitch&namespace=shop&rollout=web"
            f"&podTemplateHash={GREEN}'"
        ),
        f"kubectl get pods -n shop -l rollouts-pod-template-hash={GREEN}",
        "No AnalysisRun is current.",
    ):
        assert part in text


def test_what_argo_was_told_is_shown(client, scene):
    """The page has Argo's phase and pause, the current AnalysisRun with its counters, and what it measured."""
    scene.template()
    scene.analyse()
    measurements = [("Inconclusive", 0, "0 of 3 healthy"), ("Inconclusive", 33.3, "1 of 3 healthy")]
    run = scene.analysis_run("Inconclusive", measurements=measurements)
    scene.rollout["status"] |= {
        "phase": "Paused",
        "message": "inconclusive analysis",
        "pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-05T09:30:00Z"}],
    }
    scene.put()

    text = page(client)

    for part in (
        "A person must act PausedInconclusive",
        f"Argo paused: AnalysisRun {run} ended Inconclusive. Metric alb-gate said last: 1 of 3 healthy.",
        "kubectl argo rollouts promote web -n shop ends the pause and starts a new analysis; it does not promote.",
        "Message inconclusive analysis",
        f"AnalysisRun {run} prePromotionAnalysis: Inconclusive",
        "alb-gate Inconclusive 0 0 2 0 1 of 3 healthy",
        "alb-gate: from 0 at",
        "alb-gate 2 Inconclusive 0 of 3 healthy",
    ):
        assert part in text


def test_the_step_and_weight_of_a_canary_are_shown(client, scene):
    """The page has a canary's step as Argo counts it, its weight, and the command that ends its pause."""
    steps = [{"setCanaryScale": {"weight": 100}}, {"pause": {}}, {"setWeight": 100}]
    canary = {"canaryService": "web-preview", "stableService": "web-active", "steps": steps}
    scene.rollout["spec"]["strategy"] = {"canary": canary}
    scene.rollout["status"] |= {
        "currentStepIndex": 1,
        "canary": {"weights": {"canary": {"weight": 20}}},
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-05T09:30:00Z"}],
    }
    scene.put()

    text = page(client)

    assert "Step 1 of 3" in text
    assert "Weight of the canary 20 %" in text
    assert "PausedForPerson The canary pauses (step 1 of 3) until a person promotes it" in text


def test_analysis_runs_that_may_not_be_read_are_no_failure(client, scene):
    """Without the permission the page says so, and shows everything else."""
    scene.template()
    scene.analyse()
    scene.analysis_run()
    scene.world.kubernetes_faults.kubernetes_error("/analysisruns", "Forbidden", "no", 403)

    text = page(client)

    assert "the provider may not list analysisruns.argoproj.io in namespace shop" in text
    assert "Successful AllChecksPassed" in text


def test_a_failing_green_has_something_to_do(client, scene):
    """While Argo has not heard of a failure yet the page says that it will, and what to look at."""
    scene.template()
    scene.analyse()
    scene.analysis_run(measurements=[("Successful", 100, "3 of 3 healthy")])
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout")

    text = page(client)

    assert "A person must act AnalysisRunning" in text
    assert "The answer now is Failed: Argo's next measurement counts as a failure." in text
    assert "Read AWS's reason code in the sentence" in text


def test_production_is_beside_the_new_version(client, scene):
    """Before the switch the page has production's target group too, each with a link to AWS's console."""
    scene.bind_active()

    response = client.get(WEB, headers=BROWSER)

    assert "Production now" in response.text
    assert "0 of 3" in response.text
    assert (
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#TargetGroup:targetGroupArn="
        in response.text
    )


@pytest.mark.usefixtures("scene")
def test_pods_that_are_not_ready_say_why(client, scene):
    """The table has the state of a container that is not ready, its restarts, and the readiness gate it waits for."""
    scene.not_ready(0, "CrashLoopBackOff", restarts=4, gate="target-health.elbv2.k8s.aws/k8s-shop-web")
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")

    text = page(client)

    assert "CrashLoopBackOff (app, 4 restarts); waits for gate target-health.elbv2.k8s.aws/k8s-shop-web" in text
    assert "target-health.elbv2.k8s.aws/k8s-shop-web is True on 0 of 1 pods read" in text


def test_a_pod_that_has_ended_is_on_no_page(client, scene):
    """The page counts and lists green's pods only, and reads no evicted one to explain why it is not ready."""
    scene.add_ended_pod()
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")

    text = page(client)

    assert "2 of 3 green targets healthy" in text
    assert "2 of 3 web-preview ip" in text
    assert "-ended-" not in text


def test_refreshing_calls_nobody(client, world, scene, wall_clock):
    """A page that refreshes itself never makes a call to AWS, however old its evidence; opening it again does."""
    page(client)
    world.aws.faults.forget_calls()
    wall_clock.advance(LOOK_AFTER.total_seconds() * 10)

    for _ in range(5):
        assert "Read 2 min ago." in page(client, WEB + "?refresh")
    refreshed = len(world.aws.calls)
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    text = page(client)

    assert (refreshed, "unhealthy" in text) == (0, True)
    assert {call.name for call in world.aws.calls} <= {"DescribeTargetHealth", "DescribeTargetGroups"}


def test_a_look_of_a_person_is_no_answer(client, scene, metrics):
    """Opening a page or asking for an explanation is in no metric and no history, and counts as no pass."""
    page(client)
    client.get("/v1/explain?namespace=shop&rollout=web")
    client.get("/v1/rollouts")
    scene.switch()

    exposed = generate_latest(metrics.registry).decode()
    assert "alb_provider_answers_total{" not in exposed
    assert "alb_provider_rollout_info{" not in exposed
    assert "alb_provider_ungated_switches_total{" not in exposed
    assert client.get("/v1/history?namespace=shop&rollout=web").json["switches"] == []


def test_two_replicas_show_the_same(sources, scene):
    """A replica that Argo asks and one that nobody ever asked show the same page, but for what only one could see."""
    scene.template()
    scene.analyse()
    scene.analysis_run(measurements=[("Inconclusive", 33.3, "1 of 3 healthy"), ("Successful", 100, "3 of 3 healthy")])
    asked, fresh = (create_app(sources, Metrics()).test_client() for _ in range(2))
    for _ in range(3):
        asked.get(f"/v1/gate?namespace=shop&rollout=web&podTemplateHash={GREEN}&stage=beforeSwitch")

    first, second = (re.sub(r"\d+ s ago|\(\d+ min", "", page(client)) for client in (asked, fresh))
    histories = [client.get("/v1/history?namespace=shop&rollout=web").get_json() for client in (asked, fresh)]

    assert first.partition("Failed requests per minute")[0] == second.partition("In a terminal")[0]
    assert "alb-gate Running 1 0 1 0 3 of 3 healthy" in first
    assert [one["analysisRuns"] for one in histories] == [histories[0]["analysisRuns"]] * 2


def test_the_page_asks_what_argo_asks(client, scene, world, sources):
    """It reads CloudWatch only for a Rollout whose own gate does; each metric of ours is answered."""
    page(client)
    before = {call.name for call in world.aws.calls}
    metrics = [scene.metric(), scene.metric("alb-5xx", "errors?windowSeconds=60")]
    scene.analysis_run(metrics=metrics)
    world.aws.faults.forget_calls()
    fresh = create_app(sources, Metrics()).test_client()
    text = page(fresh)

    assert "GetMetricData" not in before
    assert "GetMetricData" in {call.name for call in world.aws.calls}
    assert f"alb-gate web-{GREEN}-2-pre" in text
    assert f"alb-5xx web-{GREEN}-2-pre" in text


def test_the_overview_has_every_rollout(client, world):
    """Every Rollout is listed, asked about or not: those that need a person first, with counts, filtered on request."""
    Scene(world, name="good").build()
    sick, idle = Scene(world, name="sick").build(), Scene(world, name="idle", namespace="bank").build()
    sick.rollout["status"] |= {"abort": True, "phase": "Degraded", "message": "metric failed"}
    idle.rollout["status"] |= {"stableRS": GREEN, "phase": "Healthy"}
    for scene in (sick, idle):
        scene.put()
    world.aws.faults.forget_calls()

    text = page(client, "/")

    assert "1 A person must act … 1 Wait ✓ 1 Nothing to do" in text
    assert re.search(
        r"shop/ sick ✗ A person must act Aborted .* shop/ good … Wait .* bank/ idle ✓ Nothing to do Stable", text
    )
    assert "good" not in page(client, "/?q=abort")
    assert "idle" not in page(client, "/?namespace=shop")
    assert world.aws.calls == []


def test_ten_thousand_rollouts_are_listed_once(sources, metrics, world, scene):
    """The list is read page by page once for many visits, and the page shows a hundred of them."""
    sources.shared.freshness = replace(sources.shared.freshness, rollouts=3600)
    client = create_app(sources, metrics).test_client()
    for number in range(2500):
        metadata = scene.rollout["metadata"] | {"name": f"web-{number:05}", "uid": f"u{number}"}
        world.kubernetes.put(scene.rollout | {"metadata": metadata})
    world.kubernetes_faults.forget_calls()

    first = client.get("/", headers=BROWSER)
    client.get("/?page=26&q=web", headers=BROWSER)

    assert len(first.data) < 150_000
    assert "2501 Rollouts, page 1 of 26." in " ".join(first.text.split())
    paths = [call.name.partition("?")[0] for call in world.kubernetes_faults.calls]
    assert paths == ["/apis/argoproj.io/v1alpha1/rollouts"] * 3


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html;q=0.5"])
def test_other_clients_get_what_they_got(client, accept):
    """`/` is JSON for whoever does not prefer HTML, as curl and Argo do not."""
    response = client.get("/", headers={"Accept": accept} if accept else {})

    assert response.content_type == "application/json"
    assert response.json["name"] == "alb-provider"


def test_an_api_never_answers_html(client):
    """No endpoint answers a browser with HTML, since Argo must never take a page for an answer."""
    for path in ("/v1/target-health?namespace=shop&rollout=none", "/v1/nothing", "/v1/gate", "/v1/history"):
        assert client.get(path, headers=BROWSER).content_type.startswith("application/")


@pytest.mark.usefixtures("scene")
def test_a_page_loads_from_here_only(client):
    """Its policy allows style, script and requests of this address only, and nothing inline."""
    response = client.get(WEB, headers=BROWSER)
    policy = response.headers.getlist("Content-Security-Policy")

    assert policy == [
        (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
    ]
    assert response.headers["X-Frame-Options"] == "DENY"
    assert not re.search(r"style=|<style|<script>|\son\w+=|src=\"http|<link[^>]+http", response.text)
    for name in ("page.css", "page.js"):
        with client.get(f"/static/{name}") as found:
            assert found.status_code == 200


def test_text_from_elsewhere_is_no_html(client, scene):
    """What Kubernetes or AWS say is text, whatever it contains."""
    scene.rollout["status"] |= {"message": "<script>alert(1)</script>", "phase": "Progressing"}
    scene.put()

    response = client.get(WEB, headers=BROWSER)

    assert "<script>alert" not in response.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/rollouts/shop/none", 404, "There is no Rollout none in namespace shop"),
        ("/rollouts/Shop/web", 400, "namespace must be"),
        ("/rollouts?namespace=shop&rollout=", 400, "rollout must not be empty"),
    ],
)
@pytest.mark.usefixtures("scene")
def test_a_page_that_is_not_shown_says_why(client, path, status, says):
    """What cannot be shown is a page with a sentence."""
    response = client.get(path, headers=BROWSER)

    assert (response.status_code, response.content_type) == (status, "text/html; charset=utf-8")
    assert says in html.unescape(response.text)


def test_the_form_leads_to_the_rollout(client):
    """The form of the overview leads to the page of that Rollout."""
    response = client.get("/rollouts?namespace=shop&rollout=web", headers=BROWSER)

    assert (response.status_code, response.headers["Location"]) == (303, WEB)


def test_every_reason_has_an_anchor(client):
    """The reasons' page has each reason, where the links of the other pages lead."""
    page = client.get("/reasons", headers=BROWSER).text

    assert [one for one in Reason if f'<div id="{one.value.lower()}"><dt>{one.value} ' not in page] == []


@pytest.fixture
def guarded(sources, metrics, tmp_path):
    """The application with a token for namespace shop and one for billing."""
    file = tmp_path / "tokens"
    file.write_text(f"{TEAM} shop\n{OTHER} billing\n")
    return create_app(sources, metrics, access=TokenAccess(file)).test_client()


@pytest.mark.usefixtures("scene")
def test_a_token_opens_the_pages(guarded):
    """Without a token there is a form; with a valid one the browser keeps it in a cookie that scripts cannot read."""
    asked = guarded.get(WEB, headers=BROWSER)
    wrong = guarded.post("/session", data={"token": "not-the-right-token", "back": WEB})
    right = guarded.post("/session", data={"token": TEAM, "back": WEB})
    cookie = right.headers["Set-Cookie"]

    assert (asked.status_code, wrong.status_code, right.status_code) == (401, 401, 303)
    assert 'type="password"' in asked.text
    assert "Set-Cookie" not in wrong.headers
    assert right.headers["Location"] == WEB
    assert ("HttpOnly" in cookie, "SameSite=Strict" in cookie, "Max-Age" in cookie) == (True, True, False)
    assert "AllChecksPassed" in page(guarded)
    assert "shop/ web" in page(guarded, "/")
    guarded.post("/session", data={"back": "/"})
    assert guarded.get(WEB, headers=BROWSER).status_code == 401


@pytest.mark.usefixtures("scene")
def test_a_token_shows_its_namespaces_only(guarded):
    """With another team's token the page is refused, and the overview does not list the Rollout."""
    guarded.post("/session", data={"token": OTHER})

    assert guarded.get(WEB, headers=BROWSER).status_code == 403
    assert "shop/ web" not in page(guarded, "/")


def test_the_cookie_is_for_pages_only(guarded):
    """No endpoint takes the cookie for a token, so that no other site can make a browser ask."""
    guarded.post("/session", data={"token": TEAM})

    assert guarded.get("/v1/target-health?namespace=shop&rollout=web").status_code == 401
    assert guarded.get("/v1/history?namespace=shop&rollout=web").status_code == 401


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", "x", ""]
)
def test_the_form_leads_nowhere_else(guarded, back):
    """After the form a browser stays here, whatever the form said."""
    response = guarded.post("/session", data={"token": TEAM, "back": back})

    assert response.headers["Location"] == "/"


def test_a_thousand_pods_are_small_and_cheap(client, world):
    """With 1,000 healthy pods the page is under 150 KB, no row of a healthy pod, and made of evidence in memory."""
    Scene(world, name="huge", replicas=1000).build()
    client.get("/v1/target-health?namespace=shop&rollout=huge")
    world.aws.faults.forget_calls()

    response = client.get("/rollouts/shop/huge?refresh", headers=BROWSER)

    assert len(response.data) < 150_000
    assert "<tr><th scope=row>" not in response.text
    assert response.text.count('<i class="healthy" title=') == 1000
    assert world.aws.calls == []


@pytest.mark.usefixtures("scene")
def test_the_table_is_filtered_without_scripts(client, scene):
    """The form's words select rows: every word must be in one."""
    scene.pin(scene.addresses[1], "unhealthy", "Target.Timeout", "Request timed out")

    text = client.get(WEB + "?q=timed+UNHEALTHY", headers=BROWSER).text

    assert re.findall(r"<tr><th scope=row>(\S+?)<td>", text) == [f"web-{GREEN}-0001"]
    assert "1 of 3" in text
