"""Not found is not none: what was there and is not found now never makes a pass without it."""

from collections.abc import Callable
from typing import Any

import pytest

from provider.model.records import Freshness
from tests.scene import BLUE, GREEN, Scene
from tests.world.cluster import objects
from tests.world.cluster.refusals import Absence
from tests.world.world import World

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health"
REPLICAS = "/v1/gate?namespace=shop&rollout=web&checks=replicas"
OWN, AUTO_MODE = "elbv2.k8s.aws", "eks.amazonaws.com"
LOST = [Absence.TEXT, Absence.STATUS, Absence.NOT_ESTABLISHED]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def freshness() -> Freshness:
    """Every query reads for itself, but for what is remembered of APIs and pods."""
    return Freshness(topology=0, target_health=0, failures=0)


@pytest.fixture
def ask(client: Any) -> Ask:
    return lambda url=HEALTH: dict(client.get(url).json)


@pytest.fixture
def two_apis(scene: Scene) -> Scene:
    """A target group of each API, and green is sick in that of the load balancer controller's own."""
    scene.world.kubernetes.serve(AUTO_MODE)
    arn = scene.world.aws.target_group("k8s-shop-auto")
    for ip in scene.addresses:
        scene.world.aws.load_balancers.pin(arn, ip, 8080, "healthy")
        scene.pin(ip, "initial", "Elb.InitialHealthChecking")
    scene.put(
        objects.target_group_binding("auto", service=scene.preview, arn=arn, group=AUTO_MODE, version="v1"),
    )
    return scene


def discoveries(world: World) -> list[str]:
    return [call.name for call in world.kubernetes_faults.calls if call.name.count("/") == len(("apis", "group"))]


# An API of bindings


@pytest.mark.parametrize("absence", LOST)
def test_an_api_that_was_served_is_never_without_bindings(two_apis: Scene, ask: Ask, absence: Absence) -> None:
    """Its target group is not left out while its API answers 404, however often it is asked."""
    before = ask()
    two_apis.world.kubernetes.unserve(OWN, absence)
    lost = [ask() for _ in range(6)]
    two_apis.world.kubernetes.serve(OWN)

    assert before["reason"] == ask()["reason"] == "TargetsInitial"
    assert {(answer["phase"], answer["reason"]) for answer in lost} == {("Inconclusive", "KubernetesApiMissing")}
    assert "restart the provider" in lost[0]["message"]
    assert lost[0]["observed"]["action"] == "fix"


@pytest.mark.parametrize(
    ("absence", "reason"),
    [(Absence.NOT_ESTABLISHED, "KubernetesApiMissing"), (Absence.STARTING, "KubernetesUnavailable")],
)
def test_a_provider_that_has_just_started_asks_whether_the_api_exists(
    two_apis: Scene, ask: Ask, absence: Absence, reason: str
) -> None:
    """While the API server starts, or a CRD is not established, a process that never saw the API lets nothing pass."""
    two_apis.world.kubernetes.unserve(OWN, absence)
    lost = [ask() for _ in range(6)]
    two_apis.world.kubernetes.serve(OWN)

    assert {(answer["phase"], answer["reason"]) for answer in lost} == {("Inconclusive", reason)}
    assert ask()["reason"] == "TargetsInitial"


@pytest.mark.parametrize("state", [("initial", "Elb.InitialHealthChecking"), ("unhealthy", "Target.Timeout")])
def test_a_404_is_not_remembered_where_a_verdict_decides(two_apis: Scene, ask: Ask, state: tuple[str, str]) -> None:
    """An API that comes within the minute for which a waiting answer remembers its 404 is in the next decision."""
    two_apis.world.kubernetes.unserve(OWN)
    for ip in two_apis.addresses:
        two_apis.pin(ip, *state)
    assert ask()["phase"] == "Successful"  # nothing in the cluster tells that there is such an API
    two_apis.world.kubernetes.serve(OWN)

    groups = [target_group["name"] for target_group in ask()["observed"]["targetGroups"]]

    assert groups == ["k8s-shop-web-preview", "k8s-shop-auto"]


@pytest.mark.parametrize("absence", [Absence.TEXT, Absence.STATUS])
def test_a_cluster_with_one_api_passes(scene: Scene, ask: Ask, absence: Absence) -> None:
    """The API that a cluster never had costs a decision two small requests, and a waiting answer none."""
    scene.world.kubernetes.unserve(AUTO_MODE, absence)
    passed = ask()
    asked = discoveries(scene.world)
    scene.world.kubernetes_faults.forget_calls()
    scene.pin(scene.addresses[0], "initial")
    waiting = ask()

    assert (passed["phase"], asked) == ("Successful", [f"/apis/{AUTO_MODE}"])
    assert (waiting["phase"], discoveries(scene.world)) == ("Inconclusive", [])
    assert not [call for call in scene.world.kubernetes_faults.calls if AUTO_MODE in call.name]


@pytest.mark.parametrize(("status", "phase"), [(403, "Successful"), (404, "Successful"), (503, "Inconclusive")])
@pytest.mark.usefixtures("scene")
def test_a_discovery_that_may_not_be_read_blocks_nobody(world: World, ask: Ask, status: int, phase: str) -> None:
    """A hardened cluster hides discovery: the list's own 404 must do. No answer at all is no evidence."""
    for path, code, text in (
        (f"/apis/{AUTO_MODE}/v1", 404, "404 page not found"),
        (f"/apis/{AUTO_MODE}", status, "no"),
    ):
        world.kubernetes_faults.add(path, status=code, body=text, content_type="text/plain")

    assert ask()["phase"] == phase


# The production Service

STRATEGIES = {
    "blue-green": ({"blueGreen": {"activeService": "web-active", "previewService": "web-preview"}}, {}),
    "canary": ({"canary": {"stableService": "web-active", "canaryService": "web-preview"}}, {}),
    "ping-pong": (
        {"canary": {"pingPong": {"pingService": "web-active", "pongService": "web-preview"}}},
        {"canary": {"stablePingPong": "ping"}},
    ),
}


@pytest.fixture(params=STRATEGIES)
def of_strategy(request: pytest.FixtureRequest, scene: Scene) -> Scene:
    """A Rollout of each strategy before its switch; production's Service is web-active."""
    strategy, status = STRATEGIES[request.param]
    scene.rollout["spec"]["strategy"] = strategy
    scene.rollout["status"] |= status
    scene.put()
    return scene


@pytest.mark.parametrize("url", [HEALTH, GATE, REPLICAS, f"{HEALTH}&stage=beforeSwitch", f"{HEALTH}&stage=afterSwitch"])
def test_without_its_production_service_nothing_passes(of_strategy: Scene, ask: Ask, url: str) -> None:
    """A production Service that was deleted does not read as before the switch: nobody knows what it selected."""
    before = ask(HEALTH)
    of_strategy.world.kubernetes.delete("Service", "shop", "web-active")
    answer = ask(url)

    assert before["phase"] == "Successful"
    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "ServiceNotFound")
    assert answer["message"] == "Service web-active of Rollout web does not exist in namespace shop"
    assert (answer["observed"]["action"], answer["observed"]["podTemplateHash"]) == ("fix", GREEN)


@pytest.mark.parametrize("url", [HEALTH, GATE, f"{REPLICAS}&stage=beforeSwitch"])
def test_a_production_service_without_hash_never_passes(of_strategy: Scene, ask: Ask, url: str) -> None:
    """Whatever the strategy, a selector without hash sends users to green before any gate: said, with blue's hash."""
    of_strategy.put(objects.service("web-active", selector={"app": "web"}))
    answer = ask(url)

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "ActiveServiceWithoutHash")
    assert "web-active has no rollouts-pod-template-hash" in answer["message"]
    assert f"Set it to {BLUE} (blue)" in answer["message"]


def test_a_canary_without_services_is_not_asked_for_one(scene: Scene, ask: Ask) -> None:
    """A canary that names no production Service has none that could be missing."""
    scene.rollout["spec"]["strategy"] = {"canary": {"canaryService": "web-preview"}}
    scene.put()
    scene.world.kubernetes.delete("Service", "shop", "web-active")

    assert ask()["phase"] == "Successful"
