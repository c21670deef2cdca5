"""The list of scenarios, and what they change in an example, do to a version and look at."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import yaml

from tests import ROOT
from tests.real.api import Manifest
from tests.real.stage import REPLICAS, Stage
from tests.server import Server
from tests.world.aws.moto_elbv2 import settings

Scenario = Callable[[Stage], None]
SCENARIOS: dict[str, Scenario] = {}
ALONE: dict[str, Scenario] = {}
"""Those that touch what all share, one after another."""

NEVER_SECONDS = 8.0


def scenario(function: Scenario) -> Scenario:
    """Run it together with all others."""
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def alone(function: Scenario) -> Scenario:
    """Run it when the others are over."""
    ALONE[function.__name__.replace("_", "-")] = function
    return function


# What a scenario changes in an example


def without_gates(manifest: Manifest) -> None:
    """Leave out the label that injects readiness gates, so that a sick green gets as far as the analysis."""
    if manifest["kind"] == "Namespace":
        manifest["metadata"].pop("labels", None)


def deadline(manifest: Manifest, seconds: int) -> None:
    """Shorten the time after which Argo gives up."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["progressDeadlineSeconds"] = seconds


def keep_green(manifest: Manifest) -> None:
    """Give an aborted green a scale-down deadline, as Argo's default does."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["blueGreen"]["abortScaleDownDelaySeconds"] = 600


def impatient(manifest: Manifest) -> None:
    """Let the gate end after four inconclusive measurements, with the same shape."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-gate":
        manifest["spec"]["metrics"][0] |= {"count": 4, "inconclusiveLimit": 4}


def watch_briefly(manifest: Manifest) -> None:
    """Watch targets three times, and no errors: CloudWatch's minutes would take a quarter of an hour."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-watch":
        manifest["spec"]["metrics"] = [
            metric | {"count": 3, "inconclusiveLimit": 1}
            for metric in manifest["spec"]["metrics"]
            if metric["name"] == "alb-watch-targets"
        ]
        # Argo aborts with "Analysis spec invalid" where a retention matches no metric.
        retention = manifest["spec"]["measurementRetention"]
        manifest["spec"]["measurementRetention"] = [one for one in retention if "errors" not in one["metricName"]]


def in_a_hurry(manifest: Manifest) -> None:
    """Pause for seconds instead of minutes, and judge no errors: they need CloudWatch's minutes."""
    if manifest["kind"] == "Rollout":
        canary = manifest["spec"]["strategy"]["canary"]
        canary.pop("analysis", None)
        for step in canary["steps"]:
            if "pause" in step:
                step["pause"] = {"duration": "3s"}
            for argument in step.get("analysis", {}).get("args", ()):
                if argument["name"] == "checks":
                    argument["value"] = "replicas,target-health"


# What happens to a version


def hold(stage: Stage) -> None:
    """Keep every target of this namespace that is registered from now on in its first health checks."""
    stage.cast.conditions.held.add(stage.namespace)


def release(stage: Stage) -> None:
    """Let health checks be answered again."""
    stage.cast.conditions.held.discard(stage.namespace)


def sicken(stage: Stage, pod_hash: str) -> None:
    """Let a version answer its health checks with 500 from now on."""
    stage.cast.conditions.sick.add((stage.namespace, pod_hash))


def heal(stage: Stage) -> None:
    """Let every version of this namespace answer its health checks well, whatever its tag."""
    stage.cast.conditions.healed.add(stage.namespace)


def refer_to_deployment(stage: Stage) -> None:
    """Move the pods' template, with image tag 2, into a Deployment to which the Rollout then refers."""
    rollout = stage.rollout
    template = rollout["spec"]["template"]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": stage.namespace},
        "spec": {"replicas": 0, "selector": rollout["spec"]["selector"], "template": template},
    }
    template["spec"]["containers"][0]["image"] = "registry.example/web:2"
    before = stage.green
    stage.api.apply([deployment])
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    stage.edit(template=None, selector=None, workloadRef=reference)
    stage.until("Argo's new version", lambda: stage.green != before)


@contextmanager
def handing_over(stage: Stage) -> Iterator[None]:
    """Let a provider with handover on answer for this namespace."""
    with new_handing_over(stage) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        yield


def new_handing_over(stage: Stage) -> Server:
    """Return a provider with handover on, to be started; its records are where its kubeconfig leads."""
    records = yaml.safe_load_all((ROOT / "deploy/components/handover/records.yaml").read_text("utf-8"))
    manifests = [{**one, "metadata": {**one["metadata"], "namespace": "default"}} for one in records]
    for subject in manifests[1]["subjects"]:
        subject["namespace"] = "alb-provider"
    stage.cast.api.apply(manifests)
    token = provider_token(stage)
    return stage.cast.new_provider(token, PROVIDER_HANDOVER="enabled", PROVIDER_HANDOVER_WITHOUT_TOKENS="true")


# What a person looks at


def until_blue_is_healthy(stage: Stage) -> None:
    """Wait until the first version has its users."""
    stage.until(
        "a healthy blue", lambda: min(stage.cast.healthy_for_users(stage.namespace), default=0) >= REPLICAS, seconds=60
    )


def last_switch(stage: Stage, pod_hash: str) -> dict[str, Any]:
    """Return what the answers say of the switch to a version, empty before they do."""
    shown = [one.body.get("observed", {}).get("lastSwitch", {}) for one in stage.answers(pod_hash, "afterSwitch")]
    found: list[dict[str, Any]] = [one for one in shown if one.get("podTemplateHash") == pod_hash]
    return found[-1] if found and "leastHealthyCount" in found[-1] else {}


def ask(stage: Stage) -> dict[str, Any]:
    """Ask the gate about green as a person does."""
    parameters = {"namespace": stage.namespace, "rollout": "web", "checks": "replicas,target-health"}
    found: dict[str, Any] = stage.cast.provider.ask("gate", **parameters).json()
    return found


def reports_ungated(stage: Stage) -> bool:
    """Whether the provider counts a switch of this Rollout that no pass preceded."""
    response = stage.cast.provider.session.get(f"{stage.cast.provider.url}/metrics", timeout=10)
    counted = f'alb_provider_ungated_switches_total{{rollout="web",rollout_namespace="{stage.namespace}"}}'
    return counted in response.text


def after_blue(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what was said before Argo or we saw the new version."""
    first = next(n for n, one in enumerate(answers) if one["reason"] != "TargetsHealthy")
    return answers[first:]


def passed_after_the_switch(answer: dict[str, Any]) -> bool:
    """Whether an answer is that green is healthy in production."""
    return (answer["reason"], answer["observed"].get("stage")) == ("TargetsHealthy", "AfterSwitch")


def asks_at_retry(stage: Stage) -> bool:
    """Whether Argo asks again when a green with a scale-down deadline is retried: since 1.10."""
    return tuple(int(part) for part in stage.argo.version.split(".")) >= (1, 10, 0)


def provider_token(stage: Stage) -> str:
    """Return a new token of the ServiceAccount that `deploy/` makes."""
    return stage.cast.plane.token("alb-provider", "alb-provider")


def own_account(stage: Stage) -> Manifest:
    """Make a ServiceAccount `own` with the provider's rights, and return its ClusterRoleBinding."""
    name = f"own-{stage.namespace}"
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "alb-provider"},
        "subjects": [{"kind": "ServiceAccount", "name": "own", "namespace": stage.namespace}],
    }
    stage.api.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "own", "namespace": stage.namespace}},
            binding,
        ]
    )
    return binding


def page_of(url: str, namespace: str) -> str:
    """The text of a Rollout's status page."""
    with requests.Session() as session:
        session.trust_env = False
        text = session.get(f"{url}/rollouts/{namespace}/web", headers={"Accept": "text/html"}, timeout=15).text
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def states_of(stage: Stage, arn: str) -> list[str]:
    """Return the states of a group's targets."""
    return [health.state for _, _, health in stage.cast.world.aws.load_balancers.health(settings(arn))]
