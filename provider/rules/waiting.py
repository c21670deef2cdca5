"""Why does a Rollout not go on, what will Argo do, and which command does what? One rule for each state.

Pure. `explain`, the status page and `list` use it; the list knows only what a Rollout itself says. Each command is
complete, and what it does was run (docs/operations.md, "Argo's commands"; docs/versions.md).
Sources: Argo Rollouts 1.10.1, utils/rollout/rolloututil.go, rollout/pause.go, rollout/analysis.go,
pkg/kubectl-argo-rollouts/cmd/promote/promote.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from provider.model.analysis import BACKGROUND, POST_PROMOTION, Analysis
from provider.model.argo import (
    ERROR,
    FAILED,
    INCONCLUSIVE,
    SUCCESSFUL,
    AnalysisRun,
    MetricResult,
    RolloutState,
    Version,
)
from provider.model.reasons import Action
from provider.rules.progress import deciding, progress_of, sentence_of
from provider.rules.rollout_state import INCONCLUSIVE_PAUSES, retry_skips_analysis

BLUE_GREEN_PAUSE, CANARY_PAUSE = "BlueGreenPause", "CanaryPauseStep"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a person can paste, and what it does in this state."""

    text: str
    effect: str


@dataclass(frozen=True, slots=True)
class Situation:
    """The state of a Rollout in one word, what it asks of people, what it means, and what a person can do."""

    state: str
    action: Action
    sentence: str
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a Rollout. Of a list only its state is.

    `runs` are its AnalysisRuns, the newest first; `analyses` what each asks, by its name. `pods` is a clause that says
    why pods are not ready, `gate` the readiness gate that they wait for; each is empty if it is not known.
    `now` is by Kubernetes' clock.
    """

    state: RolloutState
    now: datetime
    runs: tuple[AnalysisRun, ...] = ()
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()
    pods: str = ""
    gate: str = ""

    @property
    def green(self) -> Version | None:
        """The newest version's ReplicaSet."""
        return next((version for version in self.versions if version.pod_hash == self.state.current_hash), None)

    @property
    def stable(self) -> Version | None:
        """The stable version's ReplicaSet."""
        return next((version for version in self.versions if version.pod_hash == self.state.stable_hash), None)

    @property
    def current(self) -> tuple[AnalysisRun, ...]:
        """The AnalysisRuns of the newest version."""
        return tuple(run for run in self.runs if run.pod_hash == self.state.current_hash)

    @property
    def superseded(self) -> str:
        """Say which version was given up in the middle for the newest one; empty without one."""
        others = {self.state.current_hash, self.state.stable_hash}
        run = next((run for run in self.runs if run.is_terminated and run.pod_hash not in others), None)
        if run is None or not self.state.is_rolling or not self.state.stable_hash:
            return ""
        return f"Revision {run.revision} was superseded: Argo terminated AnalysisRun {run.name}, which proves nothing."

    def run(self, name: str) -> AnalysisRun | None:
        """Return an AnalysisRun by name."""
        return next((run for run in self.runs if run.name == name), None)

    def command(self, verb: str, effect: str, flags: str = "") -> Command:
        """Return a command of Argo's plugin about the Rollout."""
        text = f"kubectl argo rollouts {verb} {self.state.name} -n {self.state.namespace}{flags}"
        return Command(text, effect)

    def abort(self) -> Command:
        """Return the command that gives the new version up."""
        return self.command("abort", "gives this version up; production stays with the stable version")

    def describe(self) -> Command:
        """Return the command that shows the Rollout with its pods and AnalysisRuns."""
        return self.command("get rollout", "shows the Rollout with its pods and AnalysisRuns")


Rule = Callable[[Facts], Situation | None]


def situation_of(facts: Facts) -> Situation:
    """Return the first state that holds."""
    situation = next(situation for rule in RULES if (situation := rule(facts)) is not None)
    return replace(situation, sentence=f"{situation.sentence} {facts.superseded}".strip())


def _not_observed(facts: Facts) -> Situation | None:
    if facts.state.is_observed:
        return None
    controller = "kubectl get pods -A -l app.kubernetes.io/name=argo-rollouts"
    return Situation(
        "NotObserved",
        Action.WAIT,
        "Argo has not processed the latest change of the Rollout yet. If this lasts, its controller does not run.",
        (Command(controller, "shows Argo's controller"),),
    )


def _invalid(facts: Facts) -> Situation | None:
    condition = facts.state.conditions.get("InvalidSpec")
    if condition is None or not condition.is_true:
        return None
    why = (condition.message or facts.state.activity.message or "it gives no reason").rstrip(".")
    preflight = f"alb-provider preflight -n {facts.state.namespace} --rollout {facts.state.name}"
    return Situation(
        "InvalidSpec",
        Action.FIX,
        f"Argo rejects the spec, and does nothing until it is corrected: {why}.",
        (Command(preflight, "finds what is wrong with the Rollout and its templates"),),
    )


def _manual_pause(facts: Facts) -> Situation | None:
    if not facts.state.is_paused_by_person:
        return None
    # Not `promote`: of a canary that is not at a pause it also skips the current step.
    text = f"kubectl patch rollout {facts.state.name} -n {facts.state.namespace} --type merge -p "
    return Situation(
        "PausedByPerson",
        Action.FIX,
        "A person paused the Rollout (spec.paused). Argo goes on where it is once that is false.",
        (Command(text + '\'{"spec":{"paused":false}}\'', "ends the pause; the gate is asked as usual"),),
    )


def _aborted(facts: Facts) -> Situation | None:
    state = facts.state
    if not state.activity.is_aborted or not state.is_rolling:
        return None
    at = f" at {state.activity.aborted_at:%H:%M:%S} UTC" if state.activity.aborted_at else ""
    run = next((run for run in facts.current if run.phase in {FAILED, ERROR}), None)
    sentences = [f"Argo aborted this version{at}{_because(run, state.activity.message)}", _left_of(facts)]
    commands = []
    if _place(run, state) == POST_PROMOTION:
        sentences.append("A retry aborts at once, by the same AnalysisRun. Deploy another version.")
    else:
        effect = "starts this version again, and the gate is asked again"
        if facts.green and retry_skips_analysis(state, facts.green.scale_down_at, facts.now):
            effect = "before Argo Rollouts 1.10: SWITCHES AT ONCE WITHOUT ANY ANALYSIS. From 1.10 on: the gate is asked"
        sentences.append("Deploy another version, or retry this one.")
        commands.append(facts.command("retry rollout", effect))
    if facts.stable and facts.stable.revision:
        effect = "makes the stable version the wanted one again; it serves already, so no analysis runs"
        commands.append(facts.command("undo", effect, f" --to-revision={facts.stable.revision}"))
    return Situation("Aborted", Action.FIX, " ".join(filter(None, sentences)), tuple(commands))


def _because(run: AnalysisRun | None, message: str) -> str:
    decided = deciding(run) if run else None
    if run is None or decided is None:
        return f": {message.rstrip('.')}." if message else "."
    result, measurement = decided
    if measurement is None:
        return f": metric {result.name} of AnalysisRun {run.name} ended in {result.phase}."
    at = f" at {measurement.at:%H:%M:%S} UTC" if measurement.at else ""
    message = sentence_of(measurement).rstrip(".")
    return f": metric {result.name} of AnalysisRun {run.name} measured {measurement.phase}{at}: {message}."


def _left_of(facts: Facts) -> str:
    """Say what is left of an aborted version, and what that costs."""
    green = facts.green
    if green is None:
        return ""
    if not green.replicas:
        return "Its pods are stopped, so a retry starts them again and the gate waits for them."
    if green.scale_down_at and green.scale_down_at > facts.now:
        return f"Its {green.replicas} pods run until {green.scale_down_at:%H:%M:%S} UTC."
    return f"Its {green.replicas} pods still run, beside those of the stable version."


def _place(run: AnalysisRun | None, state: RolloutState) -> str:
    return next(
        (reference.place for reference in state.activity.runs if run is not None and reference.name == run.name), ""
    )


def _inconclusive(facts: Facts) -> Situation | None:
    reasons = {pause.reason for pause in facts.state.pauses}
    if not reasons & {*INCONCLUSIVE_PAUSES}:
        return None
    current = next((reference for reference in facts.state.activity.runs if reference.phase == INCONCLUSIVE), None)
    run = facts.run(current.name) if current else None
    decided = deciding(run) if run else None
    which = f"AnalysisRun {current.name}" if current else "an Experiment"
    last = f": {current.message.rstrip('.')}" if current and current.message else ""
    if decided and decided[1]:
        last = f". Metric {decided[0].name} said last: {sentence_of(decided[1]).rstrip('.')}"
    sentence = f"Argo paused: {which} ended Inconclusive{last}. It waits for a person."
    if current is None or current.place.startswith("steps["):
        # `promote` would go on to the next step without a pass (docs/operations.md).
        again = facts.command("retry rollout", "then starts the steps again, and the gate is asked")
        return Situation("PausedInconclusive", Action.FIX, sentence, (facts.abort(), again))
    return Situation(
        "PausedInconclusive",
        Action.FIX,
        sentence,
        (facts.command("promote", "ends the pause and starts a new analysis; it does not promote"), facts.abort()),
    )


def _blue_green_pause(facts: Facts) -> Situation | None:
    pause = next((pause for pause in facts.state.pauses if pause.reason == BLUE_GREEN_PAUSE), None)
    if pause is None:
        return None
    passed = next((run for run in facts.current if run.phase == SUCCESSFUL and run.completed_at), None)
    when = f" The gate passed at {passed.completed_at:%H:%M:%S} UTC, and is not asked again." if passed else ""
    promote = facts.command("promote", "switches to this version; nothing is asked again")
    seconds = facts.state.auto_promotion_seconds
    if seconds and pause.since:
        at = pause.since + timedelta(seconds=seconds)
        sentence = f"Argo switches by itself at {at:%H:%M:%S} UTC (autoPromotionSeconds).{when}"
        return Situation("PausedBeforePromotion", Action.WAIT, sentence, (promote, facts.abort()))
    sentence = (
        f"The new version is ready, and Argo waits for a person to promote it (autoPromotionEnabled: false).{when}"
    )
    return Situation("PausedBeforePromotion", Action.FIX, sentence, (promote, facts.abort()))


def _canary_pause(facts: Facts) -> Situation | None:
    pause = next((pause for pause in facts.state.pauses if pause.reason == CANARY_PAUSE), None)
    if pause is None:
        return None
    step, number = facts.state.current_step, facts.state.activity.step or 0
    where = f"step {number} of {len(facts.state.steps)}"
    promote = facts.command("promote", "ends the pause; the next step follows")
    if step is not None and step.pause_seconds is not None and pause.since:
        at = pause.since + timedelta(seconds=step.pause_seconds)
        return Situation(
            "PausedForTime",
            Action.WAIT,
            f"The canary pauses ({where}) until {at:%H:%M:%S} UTC, then goes on by itself.",
            (promote,),
        )
    return Situation(
        "PausedForPerson",
        Action.FIX,
        f"The canary pauses ({where}) until a person promotes it: the step has no duration.",
        (promote, facts.command("abort", "gives this version up; the weight goes back to the stable version")),
    )


_UNFINISHED = {"", "Pending", "Running"}


def _analysis(facts: Facts) -> Situation | None:
    running = [reference for reference in facts.state.activity.runs if reference.phase in _UNFINISHED]
    if not running or not facts.state.is_rolling:
        return None
    sentences = []
    for reference in running:
        run, asked = facts.run(reference.name), facts.analyses.get(reference.name)
        progress = []
        if run and asked:
            results = [(metric, run.result(metric.name) or MetricResult(metric.name, "")) for metric in asked.metrics]
            progress = [
                progress_of(metric, result, run).sentence for metric, result in results if result.phase in _UNFINISHED
            ]
        sentences.append(f"AnalysisRun {reference.name} runs. {' '.join(progress)}".strip())
    if all(reference.place == BACKGROUND for reference in running) and facts.state.current_step:
        sentences.append(f"The canary is at step {facts.state.activity.step} of {len(facts.state.steps)}.")
    abort = facts.command("abort", "gives this version up")
    return Situation("AnalysisRunning", Action.WAIT, " ".join(sentences), (abort, facts.describe()))


def _promoted_full(facts: Facts) -> Situation | None:
    if not facts.state.activity.is_promoted_full or not facts.state.is_rolling:
        return None
    return Situation(
        "PromotedFull", Action.WAIT, "A person promoted it with --full: Argo switches without any analysis or pause."
    )


def _first_deploy(facts: Facts) -> Situation | None:
    if facts.state.stable_hash:
        return None
    sentence = "This is the first deploy: there is no stable version yet, so Argo runs no analysis."
    return Situation("FirstDeploy", Action.WAIT, f"{sentence} {_pods(facts)}".strip())


def _deadline(facts: Facts) -> Situation | None:
    condition = facts.state.conditions.get("Progressing")
    if condition is None or condition.reason != "ProgressDeadlineExceeded" or not facts.state.is_rolling:
        return None
    end = "Argo does not abort by itself (progressDeadlineAbort is not set)."
    if facts.state.aborts_at_deadline:
        end = "Argo aborts it (progressDeadlineAbort)."
    return Situation(
        "ProgressDeadlineExceeded",
        Action.FIX,
        f"The Rollout made no progress for {facts.state.progress_deadline_seconds} s. {end} {_pods(facts)}".strip(),
        (facts.abort(), facts.describe()),
    )


def _replicas(facts: Facts) -> Situation | None:
    green = facts.green
    if not facts.state.is_rolling or green is None or green.available >= green.replicas > 0:
        return None
    end = "aborts" if facts.state.aborts_at_deadline else "only calls it Degraded"
    asks = "No analysis starts before all are; after" if facts.state.has_gate else "After"
    seconds = facts.state.progress_deadline_seconds
    sentence = f"{_pods(facts)} {asks} {seconds} s without progress Argo {end}."
    state = "WaitingForReadinessGate" if facts.gate else "WaitingForReplicas"
    return Situation(state, Action.WAIT, sentence, (facts.abort(), facts.describe()))


def _pods(facts: Facts) -> str:
    """Say how many of the new version's pods are available, and what holds the others."""
    green = facts.green
    if green is None:
        return ""
    counted = f"{green.available} of {green.replicas} pods of the new version are available"
    if facts.gate:
        return f"{counted}: the others wait for the readiness gate {facts.gate}."
    return f"{counted}{facts.pods}."


def _rolling(facts: Facts) -> Situation | None:
    if not facts.state.is_rolling:
        return None
    number = f"step {facts.state.activity.step} of {len(facts.state.steps)}" if facts.state.current_step else ""
    kind = f" ({facts.state.current_step.kind})" if facts.state.current_step else ""
    where = f"The canary is at {number}{kind}. " if number else ""
    message = f"Argo says: {facts.state.activity.message.rstrip('.')}. " if facts.state.activity.message else ""
    return Situation("Progressing", Action.WAIT, f"{where}{message}Argo goes on by itself.", (facts.describe(),))


def _degraded(facts: Facts) -> Situation | None:
    if facts.state.activity.phase not in {"Degraded", "Progressing"}:
        return None
    message = f" Argo says: {facts.state.activity.message.rstrip('.')}." if facts.state.activity.message else ""
    action = Action.FIX if facts.state.activity.phase == "Degraded" else Action.WAIT
    sentence = f"The stable version is not fully available: {facts.state.available} of {facts.state.replicas} pods."
    return Situation("StableUnavailable", action, f"{sentence}{message}{facts.pods}", (facts.describe(),))


def _kept(facts: Facts) -> Situation | None:
    kept = [
        version for version in facts.versions if version.pod_hash != facts.state.current_hash and version.scale_down_at
    ]
    kept = [
        version for version in kept if version.replicas and version.scale_down_at and version.scale_down_at > facts.now
    ]
    if not kept or kept[0].scale_down_at is None:
        return None
    old, until = kept[0], kept[0].scale_down_at
    effect = "goes back to it at once, without asking the gate"
    return Situation(
        "KeepsOldVersion",
        Action.NONE,
        f"Promoted. The {old.replicas} pods of revision {old.revision} run until {until:%H:%M:%S} UTC "
        "(scaleDownDelaySeconds).",
        (facts.command("undo", effect, f" --to-revision={old.revision}"),),
    )


def _healthy(facts: Facts) -> Situation:
    return Situation("Stable", Action.NONE, f"Nothing is rolled out: {facts.state.current_hash} is the stable version.")


RULES: tuple[Rule, ...] = (
    _not_observed,
    _invalid,
    _aborted,
    _manual_pause,
    _inconclusive,
    _promoted_full,
    _canary_pause,  # a background analysis may run beside it
    _analysis,
    _blue_green_pause,
    _deadline,
    _first_deploy,
    _replicas,
    _rolling,
    _degraded,
    _kept,
    _healthy,
)
"""In the order in which they decide."""
