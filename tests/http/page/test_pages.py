"""The status page: what it shows, who may see it, and that it costs nothing that a query would not."""

import html
import re

import pytest

from provider.http.access import TokenAccess
from provider.http.app import create_app
from provider.http.page.rollout import LOOK_AFTER
from provider.model.reasons import Reason
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


@pytest.mark.usefixtures("scene")
def test_a_page_tells_why(client, scene):
    """A Rollout's page has phase, reason, sentence, action, hash, stage, Service, pods, and how to ask oneself."""
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")

    text = page(client)

    for part in (
        "Inconclusive TargetsInitial",
        "2 of 3 green targets healthy in k8s-shop-web-preview; 1 initial (Elb.InitialHealthChecking)",
        "Wait: time alone can make it pass.",
        GREEN,
        "before the switch",
        "web-preview",
        "Last asked 0 s ago (by this page)",
        "2 of 3 ip HTTP /, port traffic-port, codes 200",
        f"web-{GREEN}-0000 initial 10.0.0.1 Elb.InitialHealthChecking Initial health checks in progress",
        "curl 'http://localhost/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health'",
        "podTemplateHash={{args.pod-template-hash}}",
        "Nobody but this page has asked about this Rollout lately.",
    ):
        assert part in text


def test_what_argo_does_is_shown(client, scene):
    """The page has Argo's phase, message, pauses and abort, and each current AnalysisRun with its counters."""
    run = scene.analysis_run(successful=2, inconclusive=7)
    scene.rollout["status"] |= {
        "phase": "Paused",
        "message": "inconclusive analysis",
        "pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-05T09:30:00Z"}],
        "blueGreen": {"prePromotionAnalysisRunStatus": {"name": run, "status": "Inconclusive"}},
    }
    scene.put()

    text = page(client)

    for part in (
        "Fix: a person must act.",
        "Paused InconclusiveAnalysisRun",
        f"AnalysisRun {run}",
        "gate Running 2 0 7 0",
    ):
        assert part in text


def test_the_step_of_a_canary_is_shown(client, scene):
    """The page has a canary's step as Argo counts it."""
    steps = [{"setCanaryScale": {"weight": 100}}, {"pause": {}}, {"setWeight": 100}]
    canary = {"canaryService": "web-preview", "stableService": "web-active", "steps": steps}
    scene.rollout["spec"]["strategy"] = {"canary": canary}
    scene.rollout["status"] |= {"currentStepIndex": 1}
    scene.put()

    assert "Step 1 of 3" in page(client)


def test_analysis_runs_that_may_not_be_read_are_no_failure(client, scene):
    """Without the permission the page says so, and shows everything else."""
    run = scene.analysis_run(successful=1)
    scene.rollout["status"] |= {"blueGreen": {"prePromotionAnalysisRunStatus": {"name": run, "status": "Running"}}}
    scene.put()
    scene.world.kubernetes_faults.kubernetes_error("/analysisruns/", "Forbidden", "no", 403)

    text = page(client)

    assert f"the provider may not get analysisruns.argoproj.io {run} in namespace shop" in text
    assert "Successful AllChecksPassed" in text


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
    assert "2 of 3 ip" in text
    assert "-ended-" not in text


def test_refreshing_calls_nobody(client, world, scene, wall_clock):
    """A page that refreshes itself never makes a call to AWS, however old its evidence; opening it again does."""
    page(client)
    world.aws.faults.forget_calls()
    wall_clock.advance(LOOK_AFTER.total_seconds() * 10)

    for _ in range(5):
        assert "Target health read 2 min ago" in page(client, WEB + "?refresh")
    refreshed = len(world.aws.calls)
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    text = page(client)

    assert (refreshed, "unhealthy" in text) == (0, True)
    assert {call.name for call in world.aws.calls} <= {"DescribeTargetHealth", "DescribeTargetGroups"}


@pytest.mark.usefixtures("scene")
def test_the_page_asks_what_is_asked_anyway(client, world):
    """It reads CloudWatch only for a Rollout whose own gate does, and its own looks are no answers in the history."""
    page(client)
    before = {call.name for call in world.aws.calls}
    client.get("/v1/gate?namespace=shop&rollout=web")
    world.aws.faults.forget_calls()
    text = page(client, "/rollouts/shop/web")

    assert "GetMetricData" not in before
    assert "Nobody but this page" not in text
    assert client.get("/v1/history?namespace=shop&rollout=web").json["changes"][0]["endpoint"] == "gate"


def test_the_overview_has_the_worst_first(client, world):
    """Rollouts that were asked about are listed with phase, sentence, stage and action: the worst first."""
    good, bad = Scene(world, name="good").build(), Scene(world, name="sick").build()
    for address in bad.addresses:
        bad.pin(address, "unhealthy", "Target.Timeout")
    for scene in (good, bad):
        for _ in range(2):
            client.get(f"/v1/target-health?namespace=shop&rollout={scene.name}&unhealthyGraceSeconds=0")

    text = page(client, "/")

    assert re.search(r"shop/ sick before the switch ✗ Failed TargetsUnhealthy .* shop/ good .* ✓ Successful", text)
    assert "3 of 3 green targets healthy" in text


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
    assert not re.search(r"style=|<style|<script>|\son\w+=|https?://(?!localhost|alb-provider)", response.text)
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
    return create_app(sources, metrics, TokenAccess(file)).test_client()


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
    guarded.get("/v1/target-health?namespace=shop&rollout=web", headers={"Authorization": f"Bearer {TEAM}"})
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
    """With 1,000 pods the page is under 300 KB, and made of evidence in memory without a call."""
    Scene(world, name="huge", replicas=1000).build()
    client.get("/v1/target-health?namespace=shop&rollout=huge")
    world.aws.faults.forget_calls()

    response = client.get("/rollouts/shop/huge?refresh", headers=BROWSER)

    assert len(response.data) < 300_000
    assert response.text.count('<i class="healthy" title=') == 1000
    assert world.aws.calls == []


@pytest.mark.usefixtures("scene")
def test_the_table_is_filtered_without_scripts(client, scene):
    """The form's words select rows: every word must be in one."""
    scene.pin(scene.addresses[1], "unhealthy", "Target.Timeout", "Request timed out")

    text = client.get(WEB + "?q=timed+UNHEALTHY", headers=BROWSER).text

    assert re.findall(r"<tr><th scope=row>(\S+?)<td>", text) == [f"web-{GREEN}-0001"]
    assert "1 of 3" in text
