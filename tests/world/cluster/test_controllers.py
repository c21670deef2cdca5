"""The controllers between a Service and its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scene import Scene
from tests.world.cluster import objects
from tests.world.cluster.controllers import LoadBalancerController

if TYPE_CHECKING:
    from tests.world.world import World


def test_bindings_of_both_apis_are_reconciled(world: World) -> None:
    """Bindings of one name in two APIs each register green's running pods in their own target group."""
    scene = Scene(world).build()
    scene.add_ended_pod()
    arns = {"elbv2.k8s.aws/v1beta1": scene.arn, "eks.amazonaws.com/v1": world.aws.target_group("auto-mode")}
    for api, arn in arns.items():
        group, version = api.split("/")
        name = f"k8s-shop-{scene.preview}"
        scene.put(objects.target_group_binding(name, service=scene.preview, arn=arn, group=group, version=version))

    LoadBalancerController(world.kubernetes, world.aws, world.seconds).reconcile(at_once=True)

    described = [world.aws.client().describe_target_health(TargetGroupArn=arn) for arn in arns.values()]
    registered = [{one["Target"]["Id"] for one in each["TargetHealthDescriptions"]} for each in described]
    assert registered == [set(scene.addresses)] * 2
