"""`alb-provider doctor`: what is missing is said before the first query."""

import json

import pytest
import yaml

from provider.advice.doctor import Doctor, Outcome
from tests import ROOT

COMMAND = ("doctor",)
CLUSTER_ROLE = yaml.safe_load((ROOT / "deploy" / "base" / "cluster-role.yaml").read_text(encoding="utf-8"))
RIGHTS = [
    (verb, resource) for rule in CLUSTER_ROLE["rules"] for resource in rule["resources"] for verb in rule["verbs"]
]
POLICIES = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "deploy").glob("*iam-policy.json")]
READS = {
    action
    for policy in POLICIES
    for statement in policy["Statement"]
    for action in statement["Action"]
    if ":Describe" in action or ":Get" in action
}


@pytest.fixture
def findings(scene, sources):
    """Examine the world with everything on, and return what was not ok by the name of the test."""
    scene.bind_active()

    def examined(*namespaces):
        tests = Doctor(sources, namespaces, events=True, handover_in="platform").examine()
        return {finding.test: finding for finding in tests if finding.outcome is not Outcome.OK}

    return examined


def test_everything_is_there(scene, environment, run):  # noqa: ARG001 - they are there for what they do
    """With every right, API and action each line is ok, and the command exits with 0."""
    scene.bind_active()

    code, table, _ = run("-n", "shop")

    assert code == 0
    assert {line[:4] for line in table.splitlines()} == {"ok  "}


def test_it_writes_nothing(scene, findings):
    """It sends only reads and access reviews; what cannot be tested without writing is a note."""
    scene.world.kubernetes_faults.forget_calls()
    scene.world.aws.faults.forget_calls()

    notes = findings()

    assert [note.outcome for note in notes.values()] == [Outcome.NOTE]
    assert next(iter(notes)).startswith("AWS: elasticloadbalancing:RegisterTargets, DeregisterTargets in ")
    assert {call.name[:8] for call in scene.world.aws.calls} == {"Describe", "GetMetri"}
    written = {call.name.partition("?")[0] for call in scene.world.kubernetes_faults.calls if call.method != "GET"}
    assert written == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}


@pytest.mark.parametrize(("verb", "resource"), RIGHTS)
def test_every_right_of_the_cluster_role_is_tested(scene, findings, verb, resource):
    """A right that the ClusterRole grants, taken away, is a line that names verb and resource and what to do."""
    scene.world.kubernetes.denied.add((verb, resource))

    missing = [
        right for right in findings("shop").values() if right.test.startswith(f"Kubernetes: may {verb} {resource}")
    ]

    assert missing
    assert all("deploy/base/cluster-role.yaml" in right.advice for right in missing)


@pytest.mark.parametrize("action", sorted(READS))
def test_every_action_of_the_iam_policies_is_tested(scene, findings, action):
    """A read that an IAM policy of deploy/ allows, taken away, is a line that names it and says to allow it."""
    operation = action.partition(":")[2]
    scene.world.aws.faults.aws_error(operation, "AccessDenied", "not authorized", 403)

    refused = [read for read in findings().values() if operation in read.test and "Register" not in read.test]

    assert [read.outcome for read in refused] == [
        Outcome.NOTE if operation == "DescribeTargetGroupAttributes" else Outcome.FIX
    ]
    assert "allow the action in" in refused[0].advice
    assert action in refused[0].advice


def test_something_to_fix_is_the_exit_code(scene, environment, run):  # noqa: ARG001 - it is there for what it does
    """With a missing right the command exits with 1, and JSON has each finding."""
    scene.world.kubernetes.denied.add(("list", "pods"))

    code, report, _ = run("-n", "shop", "-o", "json")

    assert code == 1
    assert [line["test"] for line in json.loads(report)["findings"] if line["outcome"] == "fix"] == [
        "Kubernetes: may list pods in namespace shop"
    ]


def test_without_the_controller(world, findings):
    """A cluster without TargetGroupBindings is told to install the controller."""
    world.kubernetes.unserve("elbv2.k8s.aws")
    world.kubernetes.unserve("eks.amazonaws.com")

    assert "AWS Load Balancer Controller" in findings()["Kubernetes: serves targetgroupbindings.elbv2.k8s.aws"].advice


@pytest.mark.parametrize("names", [("THREADS",), ("TOKENS_FILE",), ("TLS_CERT_FILE", "TLS_KEY_FILE")])
@pytest.mark.usefixtures("environment")
def test_a_wrong_setting_is_named(run, monkeypatch, names):
    """A setting that is wrong, or whose file is, is named before anything is read, with exit code 3."""
    for name in names:
        monkeypatch.setenv(f"PROVIDER_{name}", "/nowhere")

    code, _, error = run()

    assert code == 3
    assert all(f"PROVIDER_{name}" in error for name in names)
