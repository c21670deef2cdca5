"""What this replica answered and saw of the Rollouts that were queried lately: in memory, bounded, lost at a restart.

It feeds `/v1/history`, the status page and the metric `alb_provider_rollout_info`. It reads nothing but CloudWatch's
counts of the minutes of a switch, once for each switch that it saw.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

from provider.checks import target_health
from provider.checks.parameters import Query
from provider.checks.question import Look, Sources
from provider.checks.traffic import Traffic
from provider.history.remembered import MOST_QUERIES, MOST_SWITCHES, Change, Key, LastAnswer, Remembered, Sample
from provider.history.switch_errors import errors_of, is_complete
from provider.model.lengths import cut
from provider.model.reasons import Action, Phase
from provider.model.records import Canary, Green, Rollout, Stage, Verdict
from provider.rules.switch_seen import after_look, begun
from provider.rules.ungated import after_answer
from provider.sources.kubernetes.events import Events, News
from provider.telemetry import Metrics

MOST_ROLLOUTS = 200
"""Rollouts remembered; beyond that the one queried longest ago is forgotten."""

FORGET_AFTER = timedelta(hours=6)
"""After the last query about a Rollout."""

MOST_RECORDS = 100_000
"""Pods, endpoints and targets kept of all Rollouts together (about 50 MiB); beyond that only what was answered."""

CHARTED = ("target-health", "gate")
"""Endpoints whose number is green's healthy percentage wherever target health could be read."""


class Journal:
    """The Rollouts queried lately. Thread-safe; what it returns is a copy, or is never changed again."""

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        most_records: int = MOST_RECORDS,
        events: Events | None = None,
    ) -> None:
        """Know nothing yet. Changes are written as Kubernetes Events, if there are `events`."""
        self._events = events
        self._most_records = most_records
        self._metrics, self._clock = metrics, clock
        self._lock = Lock()
        self._rollouts: OrderedDict[Key, Remembered] = OrderedDict()
        self.began_at = clock()

    def answered(self, endpoint: str, query: Query, verdict: Verdict) -> None:
        """Note an answer, and a change if its phase or reason is not that of the last answer to the same query."""
        now = self._clock()
        with self._lock:
            known = self._rollout((query.namespace, query.rollout), now)
            known.asked_at = now
            before = known.answers.pop((endpoint, query), None)
            since = before.since if before and _is_same(before.verdict, verdict) else now
            verdict = replace(verdict, message=cut(verdict.message))
            known.answers[endpoint, query] = LastAnswer(endpoint, query, verdict, since, now)
            if since != now:
                return
            known.changes.append(Change.of(verdict, endpoint, now))
            while len(known.answers) > MOST_QUERIES:
                known.answers.popitem(last=False)
            pod_hash = str(verdict.observed.get("podTemplateHash", ""))
            if pod_hash:
                stage = verdict.observed.get("stage") or query.asked_stage
                known.seen = after_answer(known.seen, pod_hash, verdict.phase, Stage(stage) if stage else None)
            self._metrics.decided(*known.key, endpoint, verdict)
            if self._events and known.look is not None:
                self._events.note(_news(known.look.topology.rollout, endpoint, verdict, now))

    def saw(self, look: Look) -> None:
        """Keep the evidence of a look, and note what it says of green's health and of a switch."""
        with self._lock:
            known = self._rollout((look.query.namespace, look.query.rollout), look.at)
            known.look = look
            parts = look.by_check
            health, traffic = parts.get("target-health"), parts.get("errors")
            if isinstance(traffic, Traffic):
                known.traffic = traffic
            if isinstance(health, target_health.Evidence):
                known.health = health
                self._note_health(known, look, health)
            self._make_room()

    def switched(self, key: Key, pod_hash: str, at: datetime) -> None:
        """Note a switch that the detector saw."""
        with self._lock:
            known = self._rollouts.get(key)
            if known is not None:
                self._note_switch(known, pod_hash, at)

    def find(self, key: Key) -> Remembered | None:
        """Return a copy of what is known of a Rollout; None if nobody queried it lately."""
        with self._lock:
            self._forget_old()
            known = self._rollouts.get(key)
            return None if known is None else _copied(known)

    def all(self) -> list[Remembered]:
        """Return a copy of everything, the Rollout queried last first."""
        with self._lock:
            self._forget_old()
            return [_copied(one) for one in reversed(self._rollouts.values())]

    def settle(self, sources: Sources) -> None:
        """Read the errors of switches whose minutes are complete by now; each is tried once."""
        now = self._clock()
        with self._lock:
            due = [
                (known, switch, known.production)
                for known in self._rollouts.values()
                for switch in known.switches.values()
                if not switch.errors_tried and known.production and is_complete(switch, now)
            ]
        for known, switch, groups in due:
            errors = errors_of(switch, groups, sources)
            with self._lock:
                if switch.pod_hash in known.switches:
                    seen = known.switches[switch.pod_hash]
                    known.switches[switch.pod_hash] = replace(seen, errors=errors, errors_tried=True)

    def forget(self, key: Key) -> None:
        """Forget a Rollout that no longer exists."""
        with self._lock:
            if key in self._rollouts:
                self._forget(key)

    def _note_health(self, known: Remembered, look: Look, health: target_health.Evidence) -> None:
        green: Green = health.green
        pod_hash = green.rollout.current_hash
        if look.check in CHARTED:
            known.samples.append(Sample(look.at, pod_hash, look.verdict.number, max(green.desired, len(green.pods))))
        if health.service.stage is not Stage.AFTER_SWITCH:
            return
        written = health.service.service.selector_written_at
        written = health.kubernetes.ours(written) if written else None
        before = {one.pod_hash for one in known.samples if one.at < look.at}
        is_recent = written is not None and look.at - written < timedelta(minutes=1)
        if pod_hash not in known.switches and is_recent and written is not None and before:
            self._note_switch(known, pod_hash, written)
        if pod_hash in known.switches:
            known.production = tuple(one.group for one in health.groups)
            at = min(one.read_at for one in health.groups)
            is_healthy = look.check in CHARTED and look.verdict.number > 0
            known.switches[pod_hash] = after_look(
                known.switches[pod_hash], health.groups, at, is_green_healthy=is_healthy
            )

    def _note_switch(self, known: Remembered, pod_hash: str, at: datetime) -> None:
        if pod_hash in known.switches and at - known.switches[pod_hash].switched_at < timedelta(minutes=1):
            return
        known.switches.pop(pod_hash, None)
        strategy = known.health.green.rollout.strategy if known.health else None
        moves_nothing = isinstance(strategy, Canary) and strategy.is_ping_pong
        passed = pod_hash in known.seen.passed
        known.switches[pod_hash] = begun(pod_hash, at, pass_preceded=passed, is_settled=moves_nothing)
        while len(known.switches) > MOST_SWITCHES:
            known.switches.popitem(last=False)

    def _rollout(self, key: Key, now: datetime) -> Remembered:
        known = self._rollouts.pop(key, None) or Remembered(key, now)
        self._rollouts[key] = known
        while len(self._rollouts) > MOST_ROLLOUTS:
            self._forget(next(iter(self._rollouts)))
        return known

    def _make_room(self) -> None:
        """Drop evidence from the Rollouts queried longest ago, but for the newest one's."""
        size = 0
        for number, known in enumerate(reversed(self._rollouts.values())):
            size += _size(known)
            if size > self._most_records and number:
                known.look = known.health = known.traffic = None

    def _forget_old(self) -> None:
        now = self._clock()
        for key in [key for key, one in self._rollouts.items() if now - one.asked_at > FORGET_AFTER]:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        del self._rollouts[key]
        self._metrics.undecided(*key)


def _is_same(before: Verdict, now: Verdict) -> bool:
    """Tell whether an answer says of the same version and stage what the last one said."""
    told = ("podTemplateHash", "stage")
    return (before.phase, before.reason) == (now.phase, now.reason) and all(
        before.observed.get(key) == now.observed.get(key) for key in told
    )


def _news(rollout: Rollout, endpoint: str, verdict: Verdict, at: datetime) -> News:
    """Return the Event of a change; it is a warning if green failed or a person must act."""
    is_warning = verdict.phase is Phase.FAILED or verdict.reason.action is Action.FIX
    message = f"{verdict.phase} ({endpoint}): {verdict.message}"
    return News(rollout.namespace, rollout.name, rollout.uid, verdict.reason.value, message, is_warning, at)


def _copied(known: Remembered) -> Remembered:
    return replace(
        known,
        answers=known.answers.copy(),
        changes=known.changes.copy(),
        samples=known.samples.copy(),
        switches=known.switches.copy(),
    )


def _size(known: Remembered) -> int:
    topology = len(known.look.topology) if known.look else 0
    return topology + sum(len(one.targets) for one in (known.health.groups if known.health else ()))
