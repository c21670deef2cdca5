"""The Kubernetes reader against the embedded cluster: what it asks, what it makes of the answers, what it refuses."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import pytest
import yaml

from provider.checks.question import Sources
from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.reasons import Reason
from provider.model.records import (
    Binding,
    BlueGreen,
    Canary,
    CanaryScale,
    CanaryStep,
    Endpoint,
    Pod,
    ReplicaSet,
    Rollout,
    Service,
    ServicePort,
    Topology,
)
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import METADATA_ONLY, ApiServer
from provider.sources.kubernetes.connection import MAX_BODY_BYTES, connect
from provider.sources.kubernetes.objects import MAX_SINGLE_READS
from provider.sources.kubernetes.reader import Cluster
from provider.sources.kubernetes.resources import PAGE_SIZE
from provider.telemetry import Metrics
from tests.scene import BLUE, GREEN, Scene
from tests.world.cluster import objects
from tests.world.cluster.refusals import Absence
from tests.world.server.http_server import HttpServer
from tests.world.world import World

ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web"
REPLICA_SETS = "/apis/apps/v1/namespaces/shop/replicasets"
PODS = "/api/v1/namespaces/shop/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/namespaces/shop/targetgroupbindings"
AUTO_MODE_BINDINGS = "/apis/eks.amazonaws.com/v1/namespaces/shop/targetgroupbindings"
SERVICES = "/api/v1/namespaces/shop/services"
OF_GREEN = f"labelSelector=rollouts-pod-template-hash={GREEN}"
NOT_ENDED = "fieldSelector=status.phase!=Failed,status.phase!=Succeeded"

Look = Callable[..., Topology]


@pytest.fixture
def look(scene: Scene, sources: Sources) -> Look:
    """Read a topology of the scene, with nothing but that in the list of calls."""

    def read(name: str = "web", reader: Cluster | None = None) -> Topology:
        scene.world.kubernetes_faults.forget_calls()
        return (reader or sources.cluster).topology("shop", name, Deadline(10))

    return read


@pytest.fixture
def reader_of(
    sources: Sources, metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> Iterator[Callable[[Any], Cluster]]:
    """Serve a WSGI application of the test's own and give a reader of it."""
    kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
    with ExitStack() as stack:

        def serve(application: Any) -> Cluster:
            kubeconfig["clusters"][0]["cluster"]["server"] = stack.enter_context(HttpServer(application)).url
            path = tmp_path / "raw.yaml"
            path.write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
            monkeypatch.setenv("KUBECONFIG", str(path))
            client = connect(pool_size=16)
            stack.callback(client.rest_client.pool_manager.clear)
            clocks = sources.shared.other_clocks
            server = ApiServer(
                lambda: client, clocks, connect_timeout_seconds=5, read_timeout_seconds=5, metrics=metrics
            )
            return Cluster(server, sources.shared)

        yield serve


class Recorder:
    """Stands before another application and keeps what its list of calls does not: raw URLs and headers."""

    def __init__(self, application: Any, *, rounds: tuple[int, int] | None = None) -> None:
        self._application = application
        self._lock = Lock()
        self._rounds = tuple(Barrier(count) for count in rounds or ())
        self.seen: dict[str, str] = {}
        """Accept header by raw URL."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self._lock:
            self.seen[environ["REQUEST_URI"]] = environ.get("HTTP_ACCEPT", "")
        if self._rounds:
            first = any(word in environ["REQUEST_URI"] for word in ("/rollouts/", "/targetgroupbindings"))
            self._rounds[0 if first else 1].wait(4)
        return self._application(environ, start_response)


def calls(world: World) -> list[str]:
    return [call.name for call in world.kubernetes_faults.calls]


def slice_of(name: str, *, endpoints: Any, ports: Any, family: str = "IPv4") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web-preview"}},
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }


def endpoint_of(uid: str, *addresses: str, **more: Any) -> dict[str, Any]:
    return {"addresses": addresses or ["10.0.9.9"], "targetRef": {"kind": "Pod", "name": uid, "uid": uid}} | more


# Which calls


def test_a_topology_is_two_rounds_of_exactly_these_calls(world, look):
    """A look reads the Rollout and all bindings, then all that depends on them, each once and nothing else."""
    look()

    assert sorted(calls(world)[:3]) == sorted(
        [ROLLOUT, f"{BINDINGS}?limit={PAGE_SIZE}", f"{AUTO_MODE_BINDINGS}?limit={PAGE_SIZE}"]
    )
    assert sorted(calls(world)[3:]) == sorted(
        [
            f"{REPLICA_SETS}?limit={PAGE_SIZE}&{OF_GREEN}",
            f"{PODS}?limit={PAGE_SIZE}&{OF_GREEN}&{NOT_ENDED}",
            f"{SLICES}?limit={PAGE_SIZE}&labelSelector=kubernetes.io/service-name in (web-active,web-preview)",
            f"{SERVICES}/web-active",
            f"{SERVICES}/web-preview",
        ]
    )
    assert {call.method for call in world.kubernetes_faults.calls} == {"GET"}


def test_each_round_is_asked_at_the_same_time(scene, world, look, reader_of):
    """The three reads of the first round are in flight together, then the five of the second; pods are metadata."""
    recorder = Recorder(world.kubernetes, rounds=(3, 5))

    topology = look(reader=reader_of(recorder))

    assert len(topology.pods) == scene.replicas
    accepted = {url.partition("?")[0]: accept for url, accept in recorder.seen.items()}
    assert accepted.pop(PODS) == METADATA_ONLY
    assert set(accepted.values()) == {"application/json"}


@pytest.mark.parametrize(
    ("status", "strategy", "skipped"),
    [
        pytest.param({"currentPodHash": ""}, {"blueGreen": {"activeService": "a"}}, {REPLICA_SETS, PODS}, id="no hash"),
        pytest.param({}, {"canary": {}}, {SLICES}, id="no Services"),
    ],
)
def test_an_empty_selector_is_not_asked(scene, world, look, status, strategy, skipped):
    """Before Argo knows the hash, or without Services, nothing can match: the API would read it as everything."""
    scene.rollout["status"] |= status
    scene.rollout["spec"]["strategy"] = strategy
    scene.put()

    topology = look()

    assert skipped.isdisjoint(call.partition("?")[0] for call in calls(world))
    assert (topology.pods == () == topology.replica_sets) is (PODS in skipped)
    assert (topology.endpoints == ()) is True


def nothing_exists(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "application/json")])
    return [b'{"kind": "Status", "reason": "NotFound"}']


def test_names_are_quoted_in_urls(look, reader_of):
    """A name stays one segment of the path whatever it is, so it can never lead to another resource."""
    recorder = Recorder(nothing_exists)
    reader, deadline = reader_of(recorder), Deadline(10)

    with pytest.raises(RolloutNotFound):
        look("../../kube-system/rollouts/web", reader=reader)
    reader.containers_ready_since("a b", GREEN, ["web?x=#1"], deadline)
    reader.instance_ids(["../secrets"], deadline)

    assert [url for url in recorder.seen if "targetgroupbindings" not in url] == [
        f"{ROLLOUT.removesuffix('web')}..%2F..%2Fkube-system%2Frollouts%2Fweb",
        "/api/v1/namespaces/a%20b/pods/web%3Fx%3D%231",
        "/api/v1/nodes/..%2Fsecrets",
    ]


# What comes back


def test_every_object_becomes_the_record_that_is_judged(scene, world, look):
    """A Rollout and what hangs on it are read field by field, and nothing of another namespace or hash."""
    world.kubernetes.put(objects.pod(objects.replica_set(scene.rollout, BLUE, replicas=1), "web-blue", ip="10.0.5.5"))
    elsewhere = objects.rollout("web", namespace="other", current_hash=GREEN, stable_hash=BLUE, strategy={})
    world.kubernetes.put(objects.pod(objects.replica_set(elsewhere, GREEN, replicas=1), "stranger", ip="10.0.6.6"))
    asked_at = datetime.now(UTC)

    found = look()

    assert found.rollout == Rollout(
        namespace="shop",
        name="web",
        uid=scene.rollout["metadata"]["uid"],
        replicas=3,
        strategy=BlueGreen("web-active", "web-preview"),
        generation=1,
        observed_generation="1",
        workload_generation="",
        workload_observed_generation="",
        current_hash=GREEN,
        stable_hash=BLUE,
        stable_ping_pong="",
    )
    replica_set_uid = scene.replica_set["metadata"]["uid"]
    stored = world.kubernetes.get("ReplicaSet", "shop", f"web-{GREEN}")["metadata"]
    assert found.replica_sets == (
        ReplicaSet(
            name=f"web-{GREEN}",
            uid=replica_set_uid,
            owner_uid=found.rollout.uid,
            replicas=3,
            available=3,
            generation=1,
            observed_generation=1,
            created_at=datetime.fromisoformat(stored["creationTimestamp"]),
            counted=3,
        ),
    )
    pods = [pod["metadata"] for pod in scene.pods]
    created_at = datetime.fromisoformat(pods[0]["creationTimestamp"])
    assert found.pods == tuple(
        Pod(pod["name"], pod["uid"], replica_set_uid, created_at, terminating=False) for pod in pods
    )
    assert found.services["web-preview"] == Service(
        name="web-preview",
        selector={"app": "web", objects.HASH_LABEL: GREEN},
        ports=(ServicePort("http", 80, 0, "http"),),
        external_traffic_policy="Cluster",
        selector_written_at=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
    )
    assert set(found.services) == {"web-active", "web-preview"}
    assert found.endpoints == tuple(
        Endpoint(
            service="web-preview",
            family="IPv4",
            address=address,
            pod_uid=pod["uid"],
            ready=True,
            node_name=scene.pods[0]["spec"]["nodeName"],
            ports=(("http", 8080),),
        )
        for address, pod in zip(scene.addresses, pods, strict=True)
    )
    assert found.bindings == (
        Binding("k8s-shop-web-preview", "web-preview", 80, scene.arn, group_name="", family="IPv4", role_arn=""),
    )
    assert asked_at <= found.read_at <= datetime.now(UTC)


STEPS = [
    {"setWeight": 0},
    {"setCanaryScale": {"replicas": 2}},
    {"setCanaryScale": {"weight": 5}},
    {"setCanaryScale": {"matchTrafficWeight": True}},
    {"analysis": {"templates": [{"templateName": "gate"}]}},
    {"pause": {}},
    {"pause": {"duration": "10m"}},
    {"pause": {"duration": 60}},
    {"setHeaderRoute": {"name": "h"}},
]
AS_READ = (
    CanaryStep(weight=0),
    CanaryStep(scale=CanaryScale(replicas=2)),
    CanaryStep(scale=CanaryScale(weight=5)),
    CanaryStep(scale=CanaryScale(matches_weight=True)),
    CanaryStep(waits=True),
    CanaryStep(waits=True),
    CanaryStep(),
    CanaryStep(),
    CanaryStep(),
)


@pytest.mark.parametrize(
    ("strategy", "status", "expected", "stable_ping_pong"),
    [
        pytest.param({"blueGreen": {"activeService": "a"}}, {}, BlueGreen("a", None), "", id="no preview Service"),
        pytest.param(
            {"blueGreen": {"activeService": "a", "previewService": "p", "previewReplicaCount": 0}},
            {},
            BlueGreen("a", "p", 0),
            "",
            id="previewReplicaCount",
        ),
        pytest.param(
            {"canary": {"canaryService": "c", "stableService": "s"}},
            {"canary": {"weights": {"canary": {}}}},
            Canary(canary_service="c", stable_service="s"),
            "",
            id="canary",
        ),
        pytest.param(
            {"canary": {"pingPong": {"pingService": "i", "pongService": "o"}, "trafficRouting": {"alb": {}}}},
            {"canary": {"stablePingPong": "ping"}},
            Canary(ping_service="i", pong_service="o", is_routed=True),
            "ping",
            id="ping-pong",
        ),
        pytest.param(
            {"canary": {"canaryService": "c", "stableService": "s", "maxSurge": 0, "steps": STEPS}},
            {"currentStepIndex": 1},
            Canary("c", "s", steps=AS_READ, surges=False),
            "",
            id="steps",
        ),
        pytest.param({"canary": {"canaryService": ""}}, {"canary": None}, Canary(), "", id="empty is unset"),
    ],
)
def test_every_strategy_comes_through(scene, world, look, strategy, status, expected, stable_ping_pong):
    """The Services and steps that each kind of strategy names are read, and which of ping and pong is stable."""
    scene.rollout["spec"]["strategy"] = strategy
    scene.rollout["status"] |= status
    scene.put()

    rollout = look().rollout

    assert (rollout.strategy, rollout.stable_ping_pong) == (expected, stable_ping_pong)
    assert [f"{SERVICES}/{name}" in calls(world) for name in expected.services] == [True] * len(expected.services)


def test_a_workload_ref_comes_through(scene, look):
    """Of a Rollout with workloadRef both the generation of its Deployment and the one that Argo saw are kept."""
    scene.rollout = objects.rollout(
        "web",
        current_hash=GREEN,
        stable_hash=BLUE,
        strategy=scene.rollout["spec"]["strategy"],
        generation=4,
        observed_generation=3,
        workload_ref={"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        status={"workloadObservedGeneration": "11"},
    )
    scene.rollout["metadata"]["annotations"] = {"rollout.argoproj.io/workload-generation": "12"}
    scene.put()

    rollout = look().rollout

    assert (rollout.generation, rollout.observed_generation) == (4, "3")
    assert (rollout.workload_generation, rollout.workload_observed_generation) == ("12", "11")


def test_absent_replicas_are_one_and_a_new_rollout_has_no_status(scene, look):
    """Where `replicas` is left out the API's default counts, and an object without status has acted on nothing yet."""
    for one in (scene.rollout, scene.replica_set):
        del one["spec"]["replicas"]
    scene.replica_set["status"] = {}
    scene.put()

    found = look()
    del scene.rollout["status"]
    scene.put()
    fresh = look().rollout

    (replica_set,) = found.replica_sets
    assert (found.rollout.replicas, replica_set.replicas) == (1, 1)
    assert (replica_set.available, replica_set.observed_generation) == (0, 0)
    assert (fresh.observed_generation, fresh.current_hash, fresh.stable_hash) == ("", "", "")


def test_terminating_pods_and_foreign_owners_are_told_apart(scene, look):
    """A pod on its way out is marked, and only a controller owner owns: another Rollout may have the same hash."""
    scene.pods[0]["metadata"]["deletionTimestamp"] = "2026-11-01T12:00:00Z"
    scene.pods[1]["metadata"]["ownerReferences"][0]["controller"] = False
    del scene.pods[2]["metadata"]["ownerReferences"]
    scene.put()

    pods = look().pods

    assert [pod.terminating for pod in pods] == [True, False, False]
    assert [pod.owner_uid for pod in pods] == [scene.replica_set["metadata"]["uid"], "", ""]


def test_an_absent_service_is_not_in_the_topology(world, look):
    """A strategy may name a Service that does not exist; that is an answer, not an error."""
    world.kubernetes.delete("Service", "shop", "web-active")

    assert set(look().services) == {"web-preview"}


def test_lists_of_many_pages_are_joined(scene, world, look):
    """A fleet that does not fit one page is read to the last one: 2,300 pods are three calls and 2,300 pods."""
    for number in range(scene.replicas, 2300):
        world.kubernetes.put(objects.pod(scene.replica_set, f"web-{GREEN}-{number:04}", ip="10.1.0.1"))

    pods = look().pods

    assert [pod.name for pod in pods] == [f"web-{GREEN}-{number:04}" for number in range(2300)]
    pages = [call for call in calls(world) if call.startswith(PODS)]
    assert [f"limit={PAGE_SIZE}&{OF_GREEN}" in page for page in pages] == [True] * 3
    assert ["continue=" in page for page in pages] == [False, True, True]


def test_a_page_that_is_too_large_is_read_in_smaller_ones(scene, world, look):
    """A page above 16 MiB is never read whole: the same objects come in pages of a quarter, and again of a quarter."""
    for number in range(200):
        binding = objects.target_group_binding(f"web-{number}", service="web-preview", arn=scene.arn)
        binding["metadata"]["annotations"] = {"note": "x" * 200_000}
        world.kubernetes.put(binding)

    found = look()

    limits = [
        call.name.partition("limit=")[2].partition("&")[0]
        for call in world.kubernetes_faults.calls
        if call.name.startswith(BINDINGS)
    ]
    assert limits == ["1000", "250", "62", "62", "62", "62"]
    assert len(found.bindings) == 201


def test_one_answer_that_is_too_large_is_refused(world, look):
    """An object that no etcd can store is not read to its end, and the sentence says why."""
    world.kubernetes_faults.add(ROLLOUT, status=200, body=b" " * (MAX_BODY_BYTES + 1), content_type="application/json")

    with pytest.raises(CannotTell, match="larger than 16 MiB") as refused:
        look()

    assert refused.value.reason is Reason.KUBERNETES_MALFORMED


def test_half_a_list_is_no_list(scene, world, look):
    """When a later page is refused, as after its token expired (410), the first page is not taken for the list."""
    for number in range(PAGE_SIZE + 1):
        world.kubernetes.put(objects.pod(scene.replica_set, f"web-{GREEN}-{number:04}", ip="10.1.0.1"))
    world.kubernetes_faults.kubernetes_error("continue=", "Expired", "The provided continue parameter is too old", 410)

    with pytest.raises(CannotTell, match="list pods in namespace shop") as refused:
        look()

    assert refused.value.reason is Reason.KUBERNETES_REJECTED


# EndpointSlices


def uid_of_a_pod(scene: Scene) -> str:
    """The uid of a green pod: endpoints of others are no evidence about green, and not kept."""
    return str(scene.world.kubernetes.all("Pod", "shop")[0]["metadata"]["uid"])


def test_null_endpoints_and_ports_are_none(scene, world, look):
    """A Service without pods has a slice whose `endpoints` and `ports` are null: no endpoint, and no error."""
    world.kubernetes.delete(
        "EndpointSlice", "shop", world.kubernetes.all("EndpointSlice", "shop")[0]["metadata"]["name"]
    )
    world.kubernetes.put(slice_of("empty", endpoints=None, ports=None))
    world.kubernetes.put(slice_of("portless", endpoints=[endpoint_of(uid_of_a_pod(scene))], ports=None))

    (found,) = look().endpoints

    assert (found.pod_uid, found.ports) == (uid_of_a_pod(scene), ())


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param({}, ("10.0.9.9", True, ""), id="no conditions: ready"),
        pytest.param({"conditions": {}}, ("10.0.9.9", True, ""), id="ready unset: ready"),
        pytest.param({"conditions": {"ready": None}}, ("10.0.9.9", True, ""), id="ready null: ready"),
        pytest.param({"conditions": {"ready": False}}, ("10.0.9.9", False, ""), id="not ready"),
        pytest.param({"nodeName": "n1"}, ("10.0.9.9", True, "n1"), id="node"),
        pytest.param({"nodeName": None}, ("10.0.9.9", True, ""), id="null node"),
        pytest.param({"addresses": ["10.0.9.1", "10.0.9.2"]}, ("10.0.9.1", True, ""), id="two addresses: the first"),
        pytest.param({"addresses": []}, None, id="no address"),
        pytest.param({"targetRef": None}, None, id="no targetRef"),
        pytest.param({"targetRef": {"kind": "Node", "uid": "u"}}, None, id="a Node's address"),
        pytest.param({"targetRef": {"kind": "Pod", "uid": "blue"}}, None, id="a pod that is not green's"),
    ],
)
def test_an_endpoint_is_read_as_the_controller_reads_it(scene, world, look, endpoint, expected):
    """Only pods' addresses count, the first of each, and ready is what is not said to be unready."""
    ports = [
        {"name": "http", "port": 8080, "protocol": "TCP"},
        {"name": None, "port": 9090},
        {"name": "all", "port": None},
    ]
    own = endpoint_of(uid_of_a_pod(scene)) | endpoint
    world.kubernetes.put(slice_of("special", endpoints=[own], ports=ports, family="IPv6"))

    special = [endpoint for endpoint in look().endpoints if endpoint.family == "IPv6"]

    assert [(endpoint.address, endpoint.ready, endpoint.node_name) for endpoint in special] == (
        [expected] if expected else []
    )
    assert all(
        endpoint.ports == (("http", 8080), ("", 9090)) and endpoint.service == "web-preview" for endpoint in special
    )


@pytest.mark.parametrize(
    ("path", "read"),
    [
        pytest.param(f"{PODS}?", lambda topology: topology.pods, id="pods"),
        pytest.param(f"{SLICES}?", lambda topology: topology.endpoints, id="endpointslices"),
        pytest.param(f"{BINDINGS}?", lambda topology: topology.bindings, id="targetgroupbindings"),
    ],
)
def test_null_items_are_an_empty_list(world, look, path, read):
    """Go writes an empty list as null: nothing found, not malformed."""
    answer = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": None})
    world.kubernetes_faults.add(path, body=answer, content_type="application/json")

    assert read(look()) == ()


# Bindings, and what is not served


def test_bindings_of_both_apis_are_joined(world, look):
    """EKS Auto Mode has TargetGroupBindings of its own: where both APIs are served, both count."""
    world.kubernetes.serve("eks.amazonaws.com")
    more = {"target_group_name": "by-name", "ip_address_type": "ipv6", "iamRoleArnToAssume": "arn:aws:iam::1:role/r"}
    more["assumeRoleExternalId"] = "shop"
    auto = objects.target_group_binding(
        "auto", service="web-preview", port="http", group="eks.amazonaws.com", version="v1", **more
    )
    world.kubernetes.put(auto)

    found = look().bindings

    assert [binding.name for binding in found] == ["k8s-shop-web-preview", "auto"]
    assert found[1] == Binding("auto", "web-preview", "http", "", "by-name", "IPv6", "arn:aws:iam::1:role/r", "shop")


@pytest.mark.parametrize(
    ("labels", "stack"),
    [
        ({}, ""),
        ({"app": "web", "stack": "mine"}, ""),
        ({"ingress.k8s.aws/stack": "public"}, "public"),
        ({"ingress.k8s.aws/stack-name": "web", "ingress.k8s.aws/stack-namespace": "shop"}, "web/shop"),
        ({"service.eks.amazonaws.com/stack-name": "web", "service.eks.amazonaws.com/stack-namespace": "a"}, "web/a"),
    ],
)
def test_a_binding_says_which_stack_it_was_made_for(world, look, labels, stack):
    """The controller labels a binding with the Ingress, group, Gateway or Service whose load balancer it is for."""
    binding = world.kubernetes.get("TargetGroupBinding", "shop", "k8s-shop-web-preview")
    binding["metadata"]["labels"] = labels
    world.kubernetes.put(binding)

    assert look().bindings[0].stack == stack


@pytest.mark.parametrize(
    ("unserved", "expected"),
    [
        pytest.param(["eks.amazonaws.com"], ["k8s-shop-web-preview"], id="no Auto Mode"),
        pytest.param(["elbv2.k8s.aws"], [], id="no load balancer controller"),
        pytest.param(["elbv2.k8s.aws", "eks.amazonaws.com"], Reason.KUBERNETES_API_MISSING, id="neither"),
    ],
)
def test_one_binding_api_is_enough(world, look, unserved, expected):
    """A cluster has one binding API or the other; with neither nothing could ever be bound, and that is said."""
    world.kubernetes.serve("eks.amazonaws.com")
    for group in unserved:
        world.kubernetes.unserve(group)

    if isinstance(expected, list):
        assert [binding.name for binding in look().bindings] == expected
    else:
        with pytest.raises(CannotTell, match=r"targetgroupbindings.elbv2.k8s.aws nor .*eks.amazonaws.com") as refused:
            look()
        assert refused.value.reason is expected


def test_a_proxys_error_page_does_not_hide_a_binding_api(world, look):
    """Only the API server's own "404 page not found" says that an API is not served; a proxy's 404 must not drop it."""
    world.kubernetes.serve("eks.amazonaws.com")
    world.kubernetes_faults.add(BINDINGS, status=404, body="<html>Not Found</html>", content_type="text/html")

    with pytest.raises(CannotTell, match=r"targetgroupbindings\.elbv2\.k8s\.aws"):
        look()


def test_no_rollout_and_no_rollouts_are_different(world, look):
    """A Rollout that does not exist is the caller's mistake; a cluster without Argo Rollouts is the operator's."""
    with pytest.raises(RolloutNotFound, match="no Rollout nobody in namespace shop"):
        look("nobody")

    for absence in (Absence.TEXT, Absence.STATUS):
        world.kubernetes.unserve("argoproj.io", absence)
        with pytest.raises(CannotTell, match=r"rollouts\.argoproj\.io web") as refused:
            look()
        assert refused.value.reason is Reason.KUBERNETES_API_MISSING


# Full pods and nodes


def unready(pod: dict[str, Any]) -> None:
    conditions = {condition["type"]: condition for condition in pod["status"]["conditions"]}
    conditions["ContainersReady"]["status"] = "False"


@pytest.mark.parametrize(
    ("count", "path"),
    [
        pytest.param(MAX_SINGLE_READS, f"{PODS}/web-{GREEN}-", id="few one by one"),
        pytest.param(MAX_SINGLE_READS + 1, f"{PODS}?limit={PAGE_SIZE}&{OF_GREEN}&{NOT_ENDED}", id="many as one list"),
    ],
)
def test_full_pods_are_read_in_the_cheaper_way(world, sources, count, path):
    """Whole pods are read by name up to MAX_SINGLE_READS, and as one list beyond; a pod that has ended is absent."""
    scene, names = Scene(world, replicas=count).build(), [f"web-{GREEN}-{number:04}" for number in range(count)]
    unready(scene.pods[1])
    scene.pods[2]["status"]["conditions"][-1]["lastTransitionTime"] = "2026-11-01T13:00:00Z"  # Ready: not asked about
    scene.pods[3]["status"]["conditions"] = None
    scene.pods[5]["status"]["phase"] = "Succeeded"
    for pod in scene.pods:
        world.kubernetes.put(pod)
    world.kubernetes.delete("Pod", "shop", names[4])

    found = sources.cluster.containers_ready_since("shop", GREEN, names, Deadline(10))

    expected = [scene.pods[number]["metadata"]["uid"] for number in range(count) if number not in (1, 3, 4, 5)]
    assert sorted(found) == sorted(expected)
    since = scene.pods[0]["status"]["conditions"][2]
    assert set(found.values()) == {datetime.fromisoformat(since["lastTransitionTime"])}
    assert since["type"] == "ContainersReady"
    assert [call.startswith(path) for call in calls(world)] == [True] * (count if count <= MAX_SINGLE_READS else 1)


@pytest.mark.parametrize("count", [pytest.param(2, id="few"), pytest.param(MAX_SINGLE_READS + 1, id="many")])
def test_nodes_give_their_instance_ids(world, sources, count):
    """A node's EC2 instance id is the last part of its providerID, empty where the cloud has not named it yet."""
    for number in range(count):
        world.kubernetes.put(objects.node(f"n{number}", instance_id=f"i-{number:017x}"))
    unnamed = objects.node("n0", instance_id="")
    del unnamed["spec"]["providerID"]
    world.kubernetes.put(unnamed)

    found = sources.cluster.instance_ids([f"n{number}" for number in range(count)], Deadline(10))

    assert found == {"n0": ""} | {f"n{number}": f"i-{number:017x}" for number in range(1, count)}
    nodes = [f"/api/v1/nodes/n{number}" for number in range(count)]
    assert sorted(calls(world)) == (nodes if count <= MAX_SINGLE_READS else [f"/api/v1/nodes?limit={PAGE_SIZE}"])


# Who asks


@pytest.fixture
def token(world: World) -> Iterator[str]:
    """The token that the cluster wants and the kubeconfig has; named before `sources`, which reads the kubeconfig."""
    world.kubernetes.bearer_token = "token-of-the-provider"
    yield world.kubernetes.bearer_token
    world.kubernetes.bearer_token = None


def test_the_kubeconfigs_token_is_sent(token, world, look):
    """Every call carries the bearer token of the kubeconfig."""
    look()

    assert {call.authorization for call in world.kubernetes_faults.calls} == {f"Bearer {token}"}


def test_a_wrong_token_is_unauthorized(token, world, look):
    """A token that the API server does not take is KubernetesUnauthorized; the sentence does not show it."""
    world.kubernetes.bearer_token = "another"

    with pytest.raises(CannotTell, match="401") as refused:
        look()

    assert refused.value.reason is Reason.KUBERNETES_UNAUTHORIZED
    assert token not in str(refused.value)


def test_the_first_call_tells_that_the_api_server_answers(world, sources):
    """Reading the version opens the connection at the start; a refusal counts as an answer, a timeout does not."""
    deadline = Deadline(10)
    world.kubernetes_faults.add("/version", drop=True)
    with pytest.raises(CannotTell, match="get the server's version"):
        sources.cluster.server.ping(deadline)
    silent = sources.cluster.server.answered
    world.kubernetes_faults.clear()
    world.kubernetes_faults.kubernetes_error("/version", "Forbidden", "no", 403, times=1)

    with pytest.raises(CannotTell, match="403"):
        sources.cluster.server.ping(deadline)
    refused = sources.cluster.server.answered
    sources.cluster.server.ping(deadline)

    assert (silent, refused) == (False, True)


# The list of pods, compressed


class Between:
    """Stands before the embedded API server: changes what it is asked and answers, and notes encodings by path."""

    def __init__(self, application: Any, *, accept: str | None = None, share: float = 1) -> None:
        self._application, self._accept, self._share = application, accept, share
        self.encodings: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if self._accept is not None and environ["PATH_INFO"] == PODS:
            environ |= {"HTTP_ACCEPT": self._accept}

        def started(status: str, headers: list[tuple[str, str]]) -> Any:
            self.encodings[environ["PATH_INFO"]] = dict(headers).get("Content-Encoding", "")
            return start_response(status, headers)

        body = b"".join(self._application(environ, started))
        cut = int(len(body) * self._share) if self.encodings[environ["PATH_INFO"]] else len(body)
        return [body[:cut]]


@pytest.fixture
def heavy(scene: Scene, world: World) -> Scene:
    """Pods whose metadata are more than an API server sends without compressing them."""
    for pod in scene.pods:
        pod["metadata"]["annotations"] = {"example.com/note": "n" * 2**17}
        world.kubernetes.put(pod)
    return scene


def test_a_large_list_of_pods_comes_compressed(heavy, look, world, reader_of):
    """Only the list of pods' metadata is asked for with gzip: elsewhere the API server would work more for it."""
    between = Between(world.kubernetes)

    topology = look(reader=reader_of(between))

    assert len(topology.pods) == heavy.replicas
    assert {path for path, encoding in between.encodings.items() if encoding} == {PODS}


@pytest.mark.parametrize("share", [0.2, 0.99])
def test_a_compressed_list_that_was_cut_off_is_refused(heavy, look, world, reader_of, share):
    """Half of a compressed list is no shorter list."""
    assert heavy.replicas

    with pytest.raises(CannotTell) as raised:
        look(reader=reader_of(Between(world.kubernetes, share=share)))

    assert raised.value.reason is Reason.KUBERNETES_MALFORMED
