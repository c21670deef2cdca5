"""The scenarios: switches as the examples do them, and what goes wrong in them."""

import time

from tests.real.api import Manifest
from tests.real.build import ARGO_VERSIONS
from tests.real.scenarios import in_a_hurry, watch_briefly, without_gates
from tests.traffic.trial import Scenario, Trial


def ungated(manifest: Manifest) -> None:
    """Leave out every analysis of a blue-green Rollout."""
    if manifest["kind"] == "Rollout":
        for analysis in ("prePromotionAnalysis", "postPromotionAnalysis"):
            manifest["spec"]["strategy"]["blueGreen"].pop(analysis, None)


def without_handover(manifest: Manifest) -> None:
    """Leave out the last step of the plain canary, the handover."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["canary"]["steps"].pop()


def switch(trial: Trial) -> None:
    """Deploy a version of the scenario's kind and wait until it serves all or is aborted."""
    trial.deploy(tag_of(trial.scenario.green))
    trial.until_decided()
    trial.outcome = "aborted" if trial.stage.is_aborted else "switched"


def promote(trial: Trial) -> None:
    """Deploy, and wait until green is stable or aborted."""
    trial.deploy(tag_of(trial.scenario.green))
    trial.until_over()


def abort_after_the_switch(trial: Trial) -> None:
    """A person aborts ten seconds after the switch."""
    switch(trial)
    time.sleep(10)
    trial.stage.command("abort", "web")
    trial.stage.until("blue in production", lambda: trial.stage.production != trial.stage.green)
    trial.outcome = "switched, then aborted"


def roll_back(trial: Trial) -> None:
    """A person goes back to the old version ten seconds after the switch."""
    switch(trial)
    time.sleep(10)
    green = trial.stage.green
    trial.stage.command("undo", "web")
    trial.stage.until("blue in production", lambda: trial.stage.production not in ("", green))
    trial.outcome = "switched, then rolled back"


def kill_the_provider(trial: Trial) -> None:
    """The provider is killed once green is registered in production, and starts again after ten seconds."""
    stage = trial.stage
    trial.deploy("2")
    stage.until("the registration", lambda: "Inconclusive/HandoverWaiting" in stage.told(stage.green))
    assert trial.provider is not None
    trial.provider.process.kill()
    time.sleep(10)
    trial.start_provider()
    trial.until_decided()
    trial.outcome = "aborted" if trial.stage.is_aborted else "switched"


def tag_of(green: str) -> str:
    """Return the image tag that makes pods behave in this way."""
    return {"healthy": "2", "one pod in ten sick": "tenth-sick", "8 % of 5xx": "broken", "hangs up": "hangup"}.get(
        green, green
    )


SCENARIOS = (
    Scenario(
        "blue-green without a gate", "blue-green", switch, changes=(without_gates, ungated), versions=ARGO_VERSIONS
    ),
    Scenario("blue-green with the gate", "blue-green", switch, versions=ARGO_VERSIONS),
    Scenario("blue-green with a handover", "blue-green-without-gap", switch, hands_over=True, promises=True),
    Scenario("ping-pong with the gate", "ping-pong", switch, promises=True),
    Scenario("batches on ping-pong", "batches", promote, changes=(in_a_hurry,), promises=True),
    Scenario("plain canary with the gate", "canary-without-gap", promote, changes=(watch_briefly, without_handover)),
    Scenario(
        "plain canary with a handover",
        "canary-without-gap",
        promote,
        changes=(watch_briefly,),
        hands_over=True,
        promises=True,
    ),
    Scenario("instance targets with the gate", "instance-mode", switch, promises=True),
    Scenario("blue-green with the gate", "blue-green", switch, "one pod in ten sick", (without_gates,), promises=True),
    Scenario("blue-green with the gate", "blue-green", switch, "cold"),
    Scenario("ping-pong with the gate", "ping-pong", switch, "cold"),
    Scenario("blue-green with the gate", "blue-green", promote, "8 % of 5xx"),
    Scenario("ping-pong with the gate", "ping-pong", promote, "8 % of 5xx"),
    Scenario("ping-pong with the gate", "ping-pong", switch, "hangs up"),
    Scenario("blue-green with the gate, aborted after the switch", "blue-green", abort_after_the_switch),
    Scenario("blue-green with the gate, rolled back", "blue-green", roll_back),
    Scenario(
        "handover whose provider is killed", "blue-green-without-gap", kill_the_provider, hands_over=True, promises=True
    ),
)
"""The first row of a title and a green; the rest of a title's rows differ in green."""
