"""What becomes of a rollout while the provider, or what it reads from, is away or forbids it."""

import json
from pathlib import Path
from typing import Any

import requests

from tests.real.cast import with_components
from tests.real.scenarios import (
    NEVER_SECONDS,
    alone,
    hold,
    own_account,
    page_of,
    provider_token,
    release,
    scenario,
    without_gates,
)
from tests.real.stage import Stage


@scenario
def provider_killed(stage: Stage) -> None:
    """While the provider is down Argo counts errors and waits; afterwards it needs three passes."""
    with stage.cast.new_provider(provider_token(stage)) as first:
        stage.cast.recorder.lead_to(stage.namespace, first.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        first.process.kill()
        release(stage)
        stage.until("errors", lambda: stage.told(stage.green)[-1] == "0")
        stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
    with stage.cast.new_provider(provider_token(stage)) as second:
        stage.cast.recorder.lead_to(stage.namespace, second.url)
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def aws_hanging(stage: Stage) -> None:
    """While AWS does not answer nothing passes; afterwards it goes on by itself."""
    with stage.cast.new_provider(provider_token(stage)) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        group = stage.cast.controller.arns(stage.namespace)["web-preview"].rpartition("/")[0]
        fault = stage.cast.world.aws.faults.add("DescribeTargetHealth", about=group, delay_seconds=60)
        release(stage)
        stage.until("the time limit", lambda: stage.told(stage.green)[-1] == "Inconclusive/AwsTimeout")
        assert stage.production != stage.green
        fault.end()
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def installed_with_components(stage: Stage) -> None:
    """An overlay with events and preflight has enough rights for answers, Events, pages, preflight and doctor."""
    suffix = f"-{stage.namespace}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"provider{suffix}"}}
    overlay = with_components(suffix, f"provider{suffix}", "events", "preflight", "token", "network-policy")
    stage.api.apply([namespace, *overlay])
    token = stage.cast.plane.token(f"provider{suffix}", f"alb-provider{suffix}")
    with stage.cast.new_provider(token, PROVIDER_EVENTS="enabled") as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        assert "alb-gate Running" in page_of(own.url, stage.namespace)
        found = preflight_of(own.url, stage.namespace)
        assert found["notChecked"] == []
        assert "PermissionMissing" not in {one["code"] for one in found["findings"]}
        assert found["forecast"]["withoutHealthyTargetSeconds"]["expected"] > 0
        examined = own.run("doctor", "-o", "json")
        not_ok = [one for one in json.loads(examined.stdout)["findings"] if one["outcome"] != "ok"]
        assert (examined.returncode, not_ok) == (0, [])
        stage.until_switched()
        assert stage.assert_law() == 1
    rollout = stage.api.get("Rollout", stage.namespace, "web")["metadata"]["uid"]
    ours = [one for one in stage.api.list("Event", stage.namespace) if one["source"].get("component") == "alb-provider"]
    assert {one["involvedObject"]["uid"] for one in ours} == {rollout}
    assert {"TargetsInitial", "AllChecksPassed"} <= {one["reason"] for one in ours}


def preflight_of(url: str, namespace: str) -> dict[str, Any]:
    """What preflight finds of the Rollout."""
    with requests.Session() as session:
        session.trust_env = False
        about = {"namespace": namespace, "rollout": "web"}
        found: dict[str, Any] = session.get(f"{url}/v1/preflight", params=about, timeout=15).json()
    return found


@scenario
def rights_taken_away(stage: Stage) -> None:
    """Without its ClusterRoleBinding the provider says so; with it, it goes on by itself."""
    binding = own_account(stage)
    with stage.cast.new_provider(stage.cast.plane.token(stage.namespace, "own")) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        stage.api.delete("ClusterRoleBinding", "", binding["metadata"]["name"])
        stage.until("the refusal", lambda: stage.told(stage.green)[-1] == "Inconclusive/KubernetesForbidden")
        assert stage.answers(stage.green)[-1].body["observed"]["action"] == "fix"
        assert "fix   Kubernetes: may list pods in every namespace: Grant it" in own.run("doctor").stdout
        release(stage)
        stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
        stage.api.apply([binding])
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def token_rotated(stage: Stage) -> None:
    """A token that is no longer valid is a credentials reason; the new one in its file is used without a restart."""
    own_account(stage)
    token_file = Path(stage.cast.directory) / f"token-{stage.namespace}"
    token_file.write_text(stage.cast.plane.token(stage.namespace, "own") + "\n", encoding="utf-8")
    with stage.cast.new_provider("", token_file) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: "Inconclusive/TargetsInitial" in stage.told(stage.green))
        stage.api.delete("ServiceAccount", stage.namespace, "own")
        stage.until("the refusal", lambda: "Inconclusive/KubernetesUnauthorized" in stage.told(stage.green))
        own_account(stage)
        token_file.write_text(stage.cast.plane.token(stage.namespace, "own") + "\n", encoding="utf-8")
        release(stage)
        stage.until_switched()
        assert stage.assert_law() == 1


@alone
def api_server_restarted(stage: Stage) -> None:
    """While the API server restarts nothing passes; afterwards everybody goes on."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    stage.cast.plane.restart_api_server()
    release(stage)
    stage.until_switched()
    assert stage.assert_law() == 1
