"""A ReplicaSet of the story whose pod ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scene import GREEN, Scene
from tests.world.cluster import objects
from tests.world.cluster.controllers import EndpointSliceController
from tests.world.story.revisions import Cluster, Revision

if TYPE_CHECKING:
    from tests.world.world import World


def phases(world: World) -> list[str]:
    """The phases of all pods, sorted."""
    return sorted(pod["status"]["phase"] for pod in world.kubernetes.all("Pod"))


def test_an_evicted_pod_stays_and_is_replaced(world: World) -> None:
    """A pod that ended stays until its ReplicaSet goes, is not counted or scaled down, and is in no slice."""
    rollout = objects.rollout("web", current_hash=GREEN, stable_hash=GREEN, strategy={})
    world.kubernetes.put(objects.service("web", selector={"app": "web"}))
    revision = Revision(Cluster(world.kubernetes), rollout, GREEN, 1)
    revision.stand(2)

    revision.end_first_pod(now=0.0)
    for second in (0.0, 2.0, 4.0):
        revision.tick(second)
    EndpointSliceController(world.kubernetes).reconcile()

    replica_set = world.kubernetes.get("ReplicaSet", "shop", f"web-{GREEN}")
    [endpoints] = [each["endpoints"] for each in world.kubernetes.all("EndpointSlice")]
    assert phases(world) == ["Failed", "Running", "Running"]
    assert (replica_set["status"]["replicas"], replica_set["status"]["availableReplicas"], len(endpoints)) == (2, 2, 2)

    revision.scale_down(now=5.0)
    revision.tick(8.0)
    assert phases(world) == ["Failed"]
    revision.delete()
    assert phases(world) == []


def test_a_scene_with_ended_pods(world: World) -> None:
    """A scene's ended pods are green's by owner and label, and no endpoint; its own pods stay as they are."""
    scene = Scene(world).build()
    before = world.kubernetes.all("EndpointSlice")[0]["endpoints"]

    added = [scene.add_ended_pod(), scene.add_ended_pod(reason="", phase="Succeeded")]

    assert phases(world) == ["Failed", "Running", "Running", "Running", "Succeeded"]
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in added} == {scene.replica_set["metadata"]["uid"]}
    assert world.kubernetes.all("EndpointSlice")[0]["endpoints"] == before
