"""The Kubernetes stand-in answers the real client as the real API server does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.world.cluster import objects
from tests.world.cluster.refusals import Absence

if TYPE_CHECKING:
    from tests.world.conftest import Answer, KubernetesClient
    from tests.world.world import World

PODS = "/api/v1/namespaces/shop/pods"
APIS_OF_BINDINGS = (("elbv2.k8s.aws", "v1beta1"), ("eks.amazonaws.com", "v1"))
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture(autouse=True)
def pods(world: World) -> None:
    """Five pods of two revisions, and one in another namespace."""
    rollout = objects.rollout("web", current_hash="green", stable_hash="blue", strategy={"blueGreen": {}})
    for pod_hash, names in {"green": "abc", "blue": "de"}.items():
        owner = objects.replica_set(rollout, pod_hash, replicas=len(names))
        for name in names:
            world.kubernetes.put(objects.pod(owner, name, ip="10.0.0.4", created_at=datetime.now(UTC)))
    elsewhere = objects.rollout(
        "web", namespace="other", current_hash="green", stable_hash="blue", strategy={"blueGreen": {}}
    )
    world.kubernetes.put(objects.pod(objects.replica_set(elsewhere, "green", replicas=1), "z"))
    world.kubernetes.put(rollout)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", "abcde"),
        ("rollouts-pod-template-hash=green", "abc"),
        ("rollouts-pod-template-hash%3D%3Dblue", "de"),
        ("rollouts-pod-template-hash%21%3Dblue", "abc"),
        ("rollouts-pod-template-hash+in+(green,other)", "abc"),
        ("rollouts-pod-template-hash%20notin%20(green)", "de"),
        ("absent notin (x)".replace(" ", "%20"), "abcde"),
        ("app,rollouts-pod-template-hash=blue", "de"),
        ("%21app", ""),
        ("app=web,rollouts-pod-template-hash=none", ""),
    ],
)
def test_label_selectors(kubernetes_client: KubernetesClient, selector: str, names: str) -> None:
    """Every kind of label selector the service may send selects what it selects in a real cluster."""
    answer = kubernetes_client.get(f"{PODS}?labelSelector={selector}")

    assert "".join(pod["metadata"]["name"] for pod in answer.body["items"]) == names


@pytest.mark.parametrize("selector", ["a%3Db%3Dc", "a in b", "a in (b", "=b", "a=b,", "a=-", "a<b"])
def test_bad_selector(kubernetes_client: KubernetesClient, selector: str) -> None:
    """A selector that cannot be parsed is a BadRequest, never an empty or a full list."""
    answer = kubernetes_client.get(f"{PODS}?labelSelector={selector.replace(' ', '%20')}")

    assert (answer.status, answer.body["kind"], answer.body["reason"]) == (400, "Status", "BadRequest")


def test_field_selector(kubernetes_client: KubernetesClient) -> None:
    """metadata.name and metadata.namespace can be selected, across namespaces too."""
    answer = kubernetes_client.get("/api/v1/pods?fieldSelector=metadata.namespace%3Dother")

    assert [pod["metadata"]["name"] for pod in answer.body["items"]] == ["z"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("status.phase=Running", "bc"),
        ("status.phase==Pending", "ade"),
        ("status.phase!=Failed", "abcde"),
        ("status.phase!=Failed,status.phase!=Succeeded", "abcde"),
        ("status.phase!=Running,metadata.name!=d", "ae"),
        ("status.phase=", ""),
        ("status.podIP=10.0.0.4,metadata.namespace=shop", "abcde"),
        ("status.podIPs=", "abcde"),
        ("status.podIPs=10.0.0.4", ""),
        ("status.nominatedNodeName=", "abcde"),
        ("spec.nodeName=node-b", "b"),
        ("spec.host=node-b", "b"),
        ("spec.restartPolicy=Always,spec.schedulerName=default-scheduler,spec.serviceAccountName=default", "abcde"),
        (r"metadata.name!=a\,b,,", "abcde"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", PARTIAL_LIST])
def test_field_selectors_of_pods(
    world: World, kubernetes_client: KubernetesClient, selector: str, names: str, accept: str
) -> None:
    """Pods are selected by the fields of the real API server, in lists of metadata too; pods that ended stay stored."""
    for name in "bc":
        pod = world.kubernetes.get("Pod", "shop", name)
        pod["status"]["phase"], pod["spec"]["nodeName"] = "Running", f"node-{name}"
        world.kubernetes.put(pod)

    answer = kubernetes_client.get(f"{PODS}?fieldSelector={quote(selector)}", accept)

    assert "".join(pod["metadata"]["name"] for pod in answer.body["items"]) == names


@pytest.mark.parametrize(
    ("plural", "selector", "message"),
    [
        ("pods", "status.phse=Running", "field label not supported: status.phse"),
        ("pods", "status.phase!=Failed, metadata.name=a", "field label not supported:  metadata.name"),
        ("pods", "status.phase", "invalid selector: 'status.phase'; can't understand 'status.phase'"),
        ("pods", "status.phase===Failed", "invalid field selector"),
        ("pods", r"metadata.name=a\b", "invalid field selector"),
        ("services", "status.phase=Running", '"status.phase" is not a known field selector'),
    ],
)
def test_bad_field_selector(kubernetes_client: KubernetesClient, plural: str, selector: str, message: str) -> None:
    """A field that the resource does not have is a BadRequest, never a full list."""
    answer = kubernetes_client.get(f"/api/v1/namespaces/shop/{plural}?fieldSelector={quote(selector)}")

    assert (answer.status, answer.body["reason"], answer.body["code"]) == (400, "BadRequest", 400)
    assert answer.body["message"].startswith(message)


def test_pods_that_ended_are_selected_away_page_by_page(world: World, kubernetes_client: KubernetesClient) -> None:
    """A field selector works together with a label selector and pages; a pod put without a phase is Pending."""
    for name, phase in (("a", "Failed"), ("b", "Succeeded")):
        world.kubernetes.put(objects.end(world.kubernetes.get("Pod", "shop", name), phase=phase))
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "f", "namespace": "shop", "labels": {"app": "web"}}}
    world.kubernetes.put(bare)
    selectors = "labelSelector=app&fieldSelector=status.phase!%3DFailed,status.phase!%3DSucceeded"

    pages: list[str] = []
    token = ""
    while not pages or token:
        page = kubernetes_client.get(f"{PODS}?{selectors}&limit=3&continue={token}", PARTIAL_LIST).body
        pages.append("".join(pod["metadata"]["name"] for pod in page["items"]))
        token = page["metadata"].get("continue", "")

    assert pages == ["cde", "f"]
    assert world.kubernetes.get("Pod", "shop", "f")["status"] == {"phase": "Pending"}


def test_pages(kubernetes_client: KubernetesClient) -> None:
    """Pages of `limit` items follow each other through `continue`, under one resourceVersion."""
    sizes, versions, token = [], set(), ""
    while True:
        page = kubernetes_client.get(f"{PODS}?limit=2&continue={token}").body
        sizes.append(len(page["items"]))
        versions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            break

    assert sizes == [2, 2, 1]
    assert len(versions) == 1


def test_partial_object_metadata(kubernetes_client: KubernetesClient) -> None:
    """Asked for PartialObjectMetadata it sends metadata only, as its own kind."""
    answer = kubernetes_client.get(f"{PODS}?labelSelector=rollouts-pod-template-hash%3Dgreen", PARTIAL_LIST)

    assert answer.body["kind"] == "PartialObjectMetadataList"
    assert answer.body["apiVersion"] == "meta.k8s.io/v1"
    assert [sorted(item) for item in answer.body["items"]] == [["apiVersion", "kind", "metadata"]] * 3
    assert answer.body["items"][0]["metadata"]["labels"]["rollouts-pod-template-hash"] == "green"


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json;as=Table;v=v1,application/json"])
def test_whole_objects(kubernetes_client: KubernetesClient, accept: str) -> None:
    """Items of built-in lists have no kind; items of custom resource lists and single objects do."""
    pods = kubernetes_client.get(PODS, accept).body
    rollouts = kubernetes_client.get("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts", accept).body
    pod = kubernetes_client.get(f"{PODS}/a", accept).body

    assert (pods["kind"], pods["apiVersion"], pods["items"][0].get("kind")) == ("PodList", "v1", None)
    assert (rollouts["kind"], rollouts["items"][0]["kind"]) == ("RolloutList", "Rollout")
    assert (pod["kind"], pod["apiVersion"], pod["status"]["podIP"]) == ("Pod", "v1", "10.0.0.4")


def test_absent_object(kubernetes_client: KubernetesClient) -> None:
    """An absent object is a NotFound Status that names it; an absent namespace is an empty list."""
    answer = kubernetes_client.get("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/none")

    assert (answer.status, answer.body["reason"], answer.body["code"]) == (404, "NotFound", 404)
    assert answer.body["message"] == 'rollouts.argoproj.io "none" not found'
    assert answer.body["details"] == {"name": "none", "group": "argoproj.io", "kind": "rollouts"}
    assert kubernetes_client.get("/api/v1/namespaces/none/pods").body["items"] == []


def test_unserved_group(world: World, kubernetes_client: KubernetesClient) -> None:
    """A group whose CustomResourceDefinitions are missing is plain text 404 until they are installed."""
    path = "/apis/eks.amazonaws.com/v1/namespaces/shop/targetgroupbindings"

    before = kubernetes_client.get(path)
    world.kubernetes.serve("eks.amazonaws.com")
    after = kubernetes_client.get(path)

    assert (before.status, before.content_type) == (404, "text/plain; charset=utf-8")
    assert before.text == "404 page not found\n"
    assert (after.status, after.body["items"]) == (200, [])


@pytest.mark.parametrize(
    ("absence", "status", "text"),
    [
        (Absence.TEXT, 404, "404 page not found\n"),
        (Absence.STATUS, 404, "the server could not find the requested resource"),
        (Absence.STARTING, 503, "the request has been made before all known HTTP paths have been installed"),
        (Absence.NOT_ESTABLISHED, 404, "404 page not found\n"),
    ],
)
def test_one_api_of_bindings_goes_and_comes_back(
    world: World, kubernetes_client: KubernetesClient, absence: Absence, status: int, text: str
) -> None:
    """One of two APIs of bindings is lost for a while, as servers say it; the other and every object stay."""
    world.kubernetes.serve("eks.amazonaws.com")
    for group, version in APIS_OF_BINDINGS:
        binding = objects.target_group_binding("web", service="web", arn="arn", group=group, version=version)
        world.kubernetes.put(binding)

    def answers() -> list[Answer]:
        paths = (f"/apis/{'/'.join(api)}/namespaces/shop/targetgroupbindings" for api in APIS_OF_BINDINGS)
        return [kubernetes_client.get(path) for path in paths]

    before = answers()
    world.kubernetes.unserve("elbv2.k8s.aws", absence)
    lost, kept = answers()
    discovered = kubernetes_client.get("/apis/elbv2.k8s.aws")
    world.kubernetes.serve("elbv2.k8s.aws")

    assert [len(answer.body["items"]) for answer in (*before, kept, *answers())] == [1, 1, 1, 1, 1]
    assert (lost.status, text in lost.text) == (status, True)
    assert (lost.content_type == "application/json") is (absence in (Absence.STATUS, Absence.STARTING))
    assert discovered.status == (200 if absence is Absence.NOT_ESTABLISHED else status)


def test_discovery_of_a_group(kubernetes_client: KubernetesClient) -> None:
    """A group that is served has its versions in `/apis/<group>`; one that is not is a path that nobody knows."""
    served, unknown, absent = (
        kubernetes_client.get(f"/apis/{group}") for group in ("elbv2.k8s.aws", "example.com", "eks.amazonaws.com")
    )

    assert [one["version"] for one in served.body["versions"]] == ["v1beta1"]
    assert [one.text for one in (unknown, absent)] == ["404 page not found\n"] * 2


def test_bearer_token(world: World, kubernetes_client: KubernetesClient) -> None:
    """With a token set, a request without it or with another one is Unauthorized."""
    world.kubernetes.bearer_token = "right"
    try:
        statuses = [
            kubernetes_client.get(PODS, **headers).status
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer right"})
        ]
    finally:
        world.kubernetes.bearer_token = None

    assert statuses == [401, 401, 200]


def test_read_only(kubernetes_client: KubernetesClient) -> None:
    """It serves reads only: anything else is MethodNotAllowed."""
    answer = kubernetes_client.get(f"{PODS}/a", method="DELETE")

    assert (answer.status, answer.body["reason"]) == (405, "MethodNotAllowed")


def test_put_replaces(world: World) -> None:
    """Replacing an object keeps its uid and creation time and grows its resourceVersion."""
    service = objects.service("web", selector={"app": "web"})
    del service["metadata"]["uid"]

    first, second = world.kubernetes.put(service), world.kubernetes.put(service)

    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


def test_faults_by_path(world: World, kubernetes_client: KubernetesClient) -> None:
    """A fault hits only matching paths, only as often as asked, and every call is remembered."""
    world.kubernetes_faults.kubernetes_error("/pods?", "Forbidden", "pods is forbidden", 403, times=1)

    statuses = [kubernetes_client.get(path).status for path in ("/version", f"{PODS}?limit=1", f"{PODS}?limit=1")]

    assert statuses == [200, 403, 200]
    assert [call.name for call in world.kubernetes_faults.calls][1:] == [f"{PODS}?limit=1"] * 2
