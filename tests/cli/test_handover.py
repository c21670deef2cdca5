"""`alb-provider handover --undo`: takes out what was left behind, and nothing else."""

import os
import subprocess
import sys

import pytest

from provider.model.handovers import HandoverRecord, RecordedGroup, RecordedTarget
from provider.model.records import Place
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.leases import Records
from tests.records import NOW
from tests.scene import GREEN
from tests.world.cluster import objects

ABOUT_WEB = ("--namespace", "shop", "--rollout", "web", "--provider-namespace", "platform")


@pytest.fixture
def undo(environment):
    """Run the command as a process of its own."""

    def undo(*more):
        return subprocess.run(
            [sys.executable, "-m", "provider.cli.main", "handover", *(more or ("--undo",)), *ABOUT_WEB],
            env={name: one for name, one in os.environ.items() if not name.startswith("PROVIDER_")} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return undo


@pytest.fixture
def production(scene):
    """The active Service's target group, with blue in it: one pod of its own, behind the Service."""
    arn = scene.world.aws.target_group("k8s-shop-web-active")
    binding = objects.target_group_binding("k8s-shop-web-active", namespace="shop", service="web-active", arn=arn)
    blue = objects.replica_set(scene.rollout, "5b8c4d", replicas=1)
    pod = objects.pod(blue, "web-blue", ip="10.9.0.1")
    service = scene.world.kubernetes.get("Service", "shop", "web-active")
    scene.put(binding, blue, pod, *objects.endpoint_slices(service, [pod]))
    scene.world.aws.register(arn, [("10.9.0.1", 8080), ("10.200.0.9", 8080)])
    return arn


def registered(scene, arn):
    return {
        one["Target"]["Id"]
        for one in scene.world.aws.client().describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        if one["TargetHealth"]["State"] != "draining"
    }


@pytest.fixture
def recorded(scene, production, sources):
    """The record of green's handover, whose targets are registered."""
    targets = frozenset(RecordedTarget(pod["status"]["podIP"], 8080, pod["metadata"]["uid"]) for pod in scene.pods)
    group = RecordedGroup(production, "k8s-shop-web-active", Place("eu-west-1"), targets)
    record = HandoverRecord("shop", "web", GREEN, "web-active", {"maxHandoverSeconds": 60}, NOW, (group,))
    Records(sources.cluster.server, "platform").create(record, Deadline(10))
    scene.world.aws.register(production, [target.address for target in targets])


@pytest.mark.usefixtures("recorded")
def test_what_was_left_behind_is_taken_out(scene, production, undo):
    """Green's pods leave the production group; blue, and a target that is no pod of the Rollout, stay."""
    scene.world.aws.load_balancers.settle()
    done, again = undo(), undo()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 targets were taken out of production (Rollout web in namespace shop)\n"
    assert again.stdout == "Nothing was left behind (Rollout web in namespace shop)\n"
    assert registered(scene, production) == {"10.9.0.1", "10.200.0.9"}
    assert GREEN != "5b8c4d"


@pytest.mark.usefixtures("recorded")
def test_what_cannot_be_written_is_a_sentence(scene, production, undo):
    """A refusal by AWS is one sentence with the action, and exit code 3; without --undo nothing happens."""
    scene.world.aws.load_balancers.settle()
    scene.world.aws.faults.aws_error("DeregisterTargets", "AccessDenied", "no", 403)
    refused, unasked = undo(), undo("--help")

    assert refused.returncode == 3
    assert refused.stderr.startswith("Error: AWS forbids elasticloadbalancing:DeregisterTargets")
    assert len(registered(scene, production)) == 5
    assert "--undo" in unasked.stdout


@pytest.mark.usefixtures("recorded")
def test_without_the_production_service_nothing_is_known_to_be_left_behind(scene, production, undo):
    """Of a production Service that does not exist nobody knows what it selected: an error, and nothing is taken out."""
    scene.world.kubernetes.delete("Service", "shop", "web-active")
    done = undo()

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "Error: 3 targets of Rollout web must stay for now: Service web-active does not exist\n"
    assert len(registered(scene, production)) == 5
