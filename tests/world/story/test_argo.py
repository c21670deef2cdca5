"""What the embedded Argo does with Rollouts of the examples, as the real one does: answers are a test's, time too."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Clock
from tests.handover.stage import StageClock
from tests.world.story.cast import Member
from tests.world.story.story import Story
from tests.world.world import World

NEVER = float("inf")


class Shop:
    """One Rollout, and what each metric is told: Successful unless a test says otherwise."""

    def __init__(self, world: World, clock: Clock, member: Member) -> None:
        self.cluster, self._clock = world.kubernetes, clock
        self.answers: dict[str, str] = {}
        member = replace(member, begins_at=NEVER, rest_seconds=NEVER)
        self.story = Story(world, cast=[member], now=StageClock(clock), measure=self.measure)
        self.story.set_up()
        self.commands = self.story.members[member.name].commands
        self.first = self.status["stableRS"]

    def measure(self, metric: dict[str, Any]) -> dict[str, Any]:
        phase = self.answers.get(metric["name"], "Successful")
        return {"phase": phase, "value": f'[100,"{phase}",""]'}

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.commands.rollout()["status"]
        return status

    @property
    def green(self) -> str:
        return str(self.status["currentPodHash"])

    def play(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self._clock.seconds += 0.5
            self.story.tick()

    def until(self, what: Callable[[], bool], seconds: float = 900) -> None:
        for _ in range(int(seconds * 2)):
            if what():
                return
            self.play(0.5)
        raise AssertionError(self.status)

    def deploy(self, tag: str = "2.0.0") -> None:
        self.commands.set_image(tag)
        self.play(1)

    def selected(self, service: str) -> str:
        selector = self.cluster.get("Service", "shop", service)["spec"]["selector"]
        return str(selector.get("rollouts-pod-template-hash", ""))

    def pods(self, pod_hash: str) -> int:
        name = f"{self.commands.rollout()['metadata']['name']}-{pod_hash}"
        return int(self.cluster.get("ReplicaSet", "shop", name)["spec"]["replicas"])

    def runs(self) -> dict[str, str]:
        """The phases of all AnalysisRuns, by their name without Rollout and hash."""
        runs = [stored.shared for stored in self.cluster.stored("AnalysisRun")]
        return {"-".join(run["metadata"]["name"].split("-")[2:]): run["status"].get("phase", "") for run in runs}


@pytest.fixture
def shop(world: World, clock: Clock) -> Callable[..., Shop]:
    def build(folder: str, change: Callable[[dict[str, Any]], None] = lambda _manifest: None) -> Shop:
        return Shop(world, clock, Member("web", folder, change=change))

    return build


def strategy(manifest: dict[str, Any]) -> dict[str, Any]:
    """The strategy of a Rollout; of anything else one that nobody reads."""
    of_rollout = manifest["spec"].get("strategy", {}) if "spec" in manifest else {}
    return of_rollout.get("blueGreen") or of_rollout.get("canary") or {}


def test_blue_green_is_promoted_by_its_analyses(shop):
    """The preview Service moves at once, the active one after the first analysis, and stable after the second."""
    web = shop("blue-green")
    web.deploy()
    green = web.green
    assert (web.selected("web-preview"), web.selected("web-active"), web.runs()) == (green, web.first, {})

    web.until(lambda: web.selected("web-active") == green)
    assert web.runs() == {"2-pre": "Successful"}
    web.play(1)
    assert (web.status["phase"], web.status["message"]) == ("Progressing", "waiting for analysis to complete")
    assert (web.status["stableRS"], web.pods(web.first)) == (web.first, 4)

    web.until(lambda: web.status["phase"] == "Healthy")
    assert web.status["stableRS"] == green
    assert web.runs() == {"2-pre": "Successful", "2-post": "Successful"}
    web.play(1)
    assert web.pods(web.first) == 4
    web.play(65)
    assert web.pods(web.first) == 0


def test_the_run_is_argos_object(shop):
    """An AnalysisRun has Argo's name, owner, labels and annotation, and its arguments are resolved."""
    web = shop("blue-green")
    web.deploy()
    web.until(lambda: web.runs() != {})
    [run] = [stored.shared for stored in web.cluster.stored("AnalysisRun")]
    rollout = web.commands.rollout()

    assert run["metadata"]["name"] == f"web-{web.green}-2-pre"
    assert run["metadata"]["labels"] == {
        "rollouts-pod-template-hash": web.green,
        "rollout-type": "PrePromotion",
        "app": "web",
    }
    assert run["metadata"]["annotations"] == {"rollout.argoproj.io/revision": "2"}
    [owner] = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Rollout", rollout["metadata"]["uid"], True)
    assert {arg["name"]: arg["value"] for arg in run["spec"]["args"]} == {
        "namespace": "shop",
        "rollout": "web",
        "pod-template-hash": web.green,
    }
    assert run["spec"]["metrics"][0]["provider"]["web"]["url"].count("{{args.") == 3
    assert rollout["status"]["blueGreen"]["prePromotionAnalysisRunStatus"]["name"] == run["metadata"]["name"]


def test_a_failure_aborts_and_a_retry_asks_again(shop):
    """Failed aborts before the switch; as shipped green stays, and a retry makes another AnalysisRun."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Failed"
    web.deploy()
    web.until(lambda: web.status.get("abort", False))

    assert (web.status["phase"], web.selected("web-active")) == ("Degraded", web.first)
    assert web.status["message"].startswith("RolloutAborted: Rollout aborted update to revision 2: Blue/green pre-")
    web.play(60)
    assert web.pods(web.green) == 4

    web.answers.clear()
    web.commands.retry()
    web.until(lambda: web.selected("web-active") == web.green)
    assert web.runs()["2-pre"] == "Failed"
    assert web.runs()["2-pre.1"] == "Successful"


def test_a_failure_after_the_switch_goes_back(shop):
    """After the switch Failed moves the active Service back to the stable version."""
    web = shop("blue-green")
    web.answers["alb-watch-errors"] = "Failed"
    web.deploy()
    web.until(lambda: web.selected("web-active") == web.green)
    web.until(lambda: web.selected("web-active") == web.first)

    assert (web.status["abort"], web.status["stableRS"]) == (True, web.first)
    assert web.runs()["2-post"] == "Failed"


def test_an_inconclusive_analysis_pauses_and_a_resume_starts_another(shop):
    """Waiting to the end pauses for a person; `promote` begins a new AnalysisRun and promotes nothing."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Inconclusive"
    web.deploy()
    web.until(lambda: web.status["phase"] == "Paused")
    assert web.status["message"] == "InconclusiveAnalysisRun"
    web.play(60)
    assert web.runs() == {"2-pre": "Inconclusive"}

    web.commands.promote()
    web.play(2)
    assert web.runs() == {"2-pre": "Inconclusive", "2-pre.1": "Running"}
    assert (web.status["phase"], web.selected("web-active")) == ("Progressing", web.first)
    web.answers.clear()
    web.until(lambda: web.selected("web-active") == web.green)


def test_promote_does_nothing_while_the_analysis_runs(shop):
    """Only `promote --full` passes a blue-green analysis, and stops it."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Inconclusive"
    web.deploy()
    web.until(lambda: web.runs() == {"2-pre": "Running"})
    web.commands.promote()
    web.play(5)
    assert (web.runs(), web.selected("web-active")) == ({"2-pre": "Running"}, web.first)

    web.commands.promote_full()
    web.until(lambda: web.status["phase"] == "Healthy", 10)
    web.play(1)
    assert web.runs() == {"2-pre": "Successful"}
    assert web.status["stableRS"] == web.selected("web-active") == web.green


def test_auto_promotion_can_be_off(shop):
    """With autoPromotionEnabled: false a pass is followed by a pause, which `promote` ends."""
    web = shop("blue-green", lambda manifest: strategy(manifest).update(autoPromotionEnabled=False))
    web.deploy()
    web.until(lambda: web.status["phase"] == "Paused")
    assert (web.status["message"], web.runs()) == ("BlueGreenPause", {"2-pre": "Successful"})
    web.play(60)
    assert web.selected("web-active") == web.first

    web.commands.promote()
    web.until(lambda: web.selected("web-active") == web.green, 5)


def test_a_newer_version_supersedes(shop):
    """A new template stops the old AnalysisRun, which counts as Successful, and the old green is scaled down."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Inconclusive"
    web.deploy()
    old = web.green
    web.until(lambda: web.runs() == {"2-pre": "Running"})
    web.deploy("3.0.0")
    web.play(3)

    assert web.runs()["2-pre"] == "Successful"
    assert web.selected("web-active") == web.first
    web.play(65)
    assert web.pods(old) == 0


def test_going_back_asks_nothing(shop):
    """The stable version again is no update: it is Healthy at once, without an analysis."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Inconclusive"
    web.deploy()
    web.until(lambda: web.runs() == {"2-pre": "Running"})
    web.commands.set_image("1.0.0")
    web.until(lambda: web.status["phase"] == "Healthy", 10)
    web.play(1)

    assert (web.green, web.selected("web-active"), web.selected("web-preview")) == (web.first,) * 3
    assert web.runs() == {"2-pre": "Successful"}


def test_a_missing_template_is_an_invalid_spec(shop):
    """A Rollout whose AnalysisTemplate is missing is Degraded, and goes on when it is there."""
    web = shop("blue-green")
    template = web.cluster.get("AnalysisTemplate", "shop", "alb-gate")
    web.cluster.delete("AnalysisTemplate", "shop", "alb-gate")
    web.deploy()
    web.until(lambda: web.status["phase"] == "Degraded")
    assert "AnalysisTemplate 'alb-gate' not found" in web.status["message"]

    web.cluster.put(template)
    web.until(lambda: web.selected("web-active") == web.green)


def test_ping_pong_changes_weights_only(shop):
    """The idle Service holds green from the beginning; the promotion swaps their roles and no selector."""
    web = shop("ping-pong")
    web.deploy()
    web.play(2)
    assert (web.selected("web-ping"), web.selected("web-pong")) == (web.first, web.green)
    assert web.runs() == {"2": "Running"}

    web.until(lambda: web.status["currentStepIndex"] == 3)
    assert web.status["canary"]["weights"]["canary"]["weight"] == 100
    arns = {service: arn for (_, service), arn in web.story.ingresses.arns.items()}
    assert {service: web.story.ingresses.weight(arn) for service, arn in arns.items()} == {
        "web-ping": 0,
        "web-pong": 100,
    }
    web.until(lambda: web.status["phase"] == "Healthy")
    web.play(1)

    assert web.status["canary"]["stablePingPong"] == "pong"
    assert (web.selected("web-ping"), web.selected("web-pong")) == (web.first, web.green)
    assert web.story.ingresses.weight(arns["web-pong"]) == 100
    assert web.runs() == {"2": "Successful", "2-1": "Successful", "2-3": "Successful"}


def test_an_abort_of_the_canary_takes_the_weight_back(shop):
    """Failed in a step gives the stable version all requests at once; green stays for its delay."""
    web = shop("ping-pong")
    web.answers["alb-watch-errors"] = "Failed"
    web.deploy()
    web.until(lambda: web.status.get("abort", False))
    web.play(1)
    assert web.status["canary"]["weights"]["canary"]["weight"] == 0
    assert (web.status["phase"], web.status["currentStepIndex"], web.pods(web.green)) == ("Degraded", 0, 4)
    assert web.runs()["2"] == "Successful"
    web.play(610)
    assert web.pods(web.green) == 0


def test_a_plain_canary_ends_with_a_flip_of_the_stable_service(shop):
    """The canary Service follows once green's pods are available, the stable one after the last step."""
    web = shop("canary-without-gap")
    web.deploy()
    assert web.selected("web-canary") == web.first
    web.until(lambda: web.selected("web-canary") == web.green, 10)
    web.until(lambda: web.status["canary"]["weights"]["canary"]["weight"] == 100)
    assert web.selected("web-stable") == web.first

    web.until(lambda: web.status["phase"] == "Healthy", 2000)
    web.play(1)
    assert (web.selected("web-stable"), web.selected("web-canary")) == (web.green, web.green)
    assert web.status["canary"]["weights"]["stable"]["weight"] == 100


def test_batches_pause_between_weights(shop):
    """setCanaryScale, a gate, setWeight and a timed pause follow each other; `promote` ends a pause early."""

    def in_batches(manifest):
        if manifest["kind"] == "Rollout":
            manifest["spec"]["replicas"] = 20
            canary = manifest["spec"]["strategy"]["canary"]
            gate = canary["steps"][1]
            canary["steps"] = [
                step
                for weight in (5, 25)
                for step in (
                    {"setCanaryScale": {"weight": weight}},
                    gate,
                    {"setWeight": weight},
                    {"pause": {"duration": "6m"}},
                )
            ]

    web = shop("ping-pong", in_batches)
    web.deploy()
    web.until(lambda: web.status["phase"] == "Paused")
    weights = web.status["canary"]["weights"]["canary"]["weight"]
    assert (web.status["message"], web.pods(web.green), weights) == ("CanaryPauseStep", 1, 5)
    web.play(350)
    assert web.status["phase"] == "Paused"
    web.play(12)
    assert web.status["currentStepIndex"] >= 4

    web.until(lambda: web.status["phase"] == "Paused")
    assert web.pods(web.green) == 5
    web.commands.promote()
    web.play(2)
    assert web.status["currentStepIndex"] == 8


def test_a_rollout_without_progress_is_degraded(shop):
    """After progressDeadlineSeconds it is Degraded, and stays so; without progressDeadlineAbort it is not aborted."""

    def change(manifest):
        if manifest["kind"] == "Rollout":
            manifest["spec"] |= {"progressDeadlineSeconds": 60, "progressDeadlineAbort": False}

    web = shop("blue-green", change)
    web.answers["alb-gate"] = "Inconclusive"
    web.deploy()
    web.until(lambda: web.status["phase"] == "Degraded", 80)
    web.play(90)

    assert web.status["message"].startswith("ProgressDeadlineExceeded: ReplicaSet")
    assert "abort" not in web.status
    web.answers.clear()
    web.until(lambda: web.selected("web-active") == web.green)


def test_only_the_newest_runs_are_kept(shop):
    """Of the runs that are not current five successful ones stay, and five others."""
    web = shop("blue-green")
    web.answers["alb-gate"] = "Failed"
    web.deploy()
    for _ in range(8):
        web.until(lambda: web.status.get("abort", False))
        web.commands.retry()
        web.play(2)
    web.until(lambda: web.status.get("abort", False))

    assert list(web.runs().values()) == ["Failed"] * 6
