"""Canaries: ping-pong and batches, with a version that is sick, and with people who skip the gate."""

from tests.real.scenarios import in_a_hurry, scenario, watch_briefly, without_gates
from tests.real.stage import Stage


@scenario
def ping_pong_thrice(stage: Stage) -> None:
    """The ping-pong canary switches by weights, three times, each time after three passes."""
    stage.set_up("ping-pong", watch_briefly)
    for number, tag in enumerate("234", 1):
        stage.deploy(tag)
        stage.until_switched()
        stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
        assert stage.assert_law() == number


@scenario
def ping_pong_sick(stage: Stage) -> None:
    """A sick green of a ping-pong canary never gets traffic; a retry asks again."""
    stage.set_up("ping-pong", without_gates, watch_briefly)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    stage.deploy("sick")
    green = stage.green
    stage.until("the abort", lambda: stage.is_aborted)
    asked = len(stage.answers(green))
    stage.command("retry", "rollout", "web")
    stage.until("another analysis", lambda: len(stage.answers(green)) > asked)
    assert stage.production != green
    stage.note("canary: `retry` of an aborted green", "asks again")
    assert stage.assert_law() == 1


@scenario
def promoted_in_a_step(stage: Stage) -> None:
    """In a canary `promote` skips the analysis that runs: a switch without a pass."""
    stage.set_up("ping-pong", without_gates, watch_briefly)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    stage.deploy("sick")
    stage.until("the gate", lambda: any(one.question == "gate" for one in stage.answers(stage.green)))
    stage.command("promote", "web")
    stage.until_switched()
    stage.note("canary: `promote` while an analysis step runs", "skips the analysis")
    assert not any(one.phase == "Successful" and one.question == "gate" for one in stage.answers(stage.green))


@scenario
def background_from_the_start(stage: Stage) -> None:
    """A background analysis asks while readiness gates keep a sick green from its step, and aborts after the grace."""
    stage.set_up("ping-pong", watch_briefly)
    blue = stage.production
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    blue = stage.production
    stage.deploy("sick")
    green = stage.green
    stage.until("the abort", lambda: stage.is_aborted)
    assert [one for one in stage.answers(green) if one.question == "gate"] == [], stage.story()
    stage.note("canary, sick green behind readiness gates", "never asks the step; a background analysis aborts")
    assert stage.told(green)[-1] == "Failed/TargetsUnhealthy", stage.story()
    assert stage.production == blue
    assert stage.assert_law() == 1


@scenario
def batches(stage: Stage) -> None:
    """A canary in batches asks before each step, and each batch is healthy before it gets traffic."""
    stage.set_up("batches", in_a_hurry)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green, seconds=240)
    stage.deploy("3")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green, seconds=240)
    assert stage.assert_law() >= 2
