"""Whatever dies, lags, throttles or repeats, production ends with exactly the targets that belong there."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.handover import question
from provider.model.handovers import HandoverRecord, RecordedGroup, RecordedTarget
from provider.model.records import Place, RunStatus
from provider.rules.handover_plan import HOLD_SECONDS, WATCH_SECONDS, Facts, desired, why_ended
from provider.sources.aws.registrations import DEREGISTER
from provider.sources.deadline import Deadline
from tests.app import create_app
from tests.handover.stage import UNDO_SECONDS, Replica
from tests.records import BLUE, GREEN, NOW, rollout, service
from tests.world.story.examples import NAMESPACE


def present(stage):
    """The targets of the production group that are not on their way out."""
    return {key for key, state in stage.states().items() if state not in ("draining", "unused")}


def record(stage):
    """The stored record of the one handover."""
    (lease,) = [
        one
        for one in stage.world.kubernetes.all("Lease", "platform")
        if one["metadata"]["labels"]["alb-provider/handover"] == "record"
    ]
    return json.loads(lease["metadata"]["annotations"]["alb-provider/handover"])


def abort(stage):
    stage.web.aborted_at, stage.web.phase = stage.clock(), "Degraded"


def throttled(world, _replica):
    return world.aws.faults.aws_error("RegisterTargets", "Throttling", "slower", 400)


def unavailable(world, _replica):
    return world.aws.faults.aws_error("RegisterTargets", "ServiceUnavailable", "later", 503)


def without_slices(world, _replica):
    return world.kubernetes_faults.add("endpointslices", status=500, body="", times=1)


def without_writes(_world, replica):
    return UsedUp(replica.registrations._writes)


def killed(_world, replica):
    return Killed(replica)


@dataclass
class UsedUp:
    """The budget of writes is used up until `end`."""

    service: Any

    def __post_init__(self):
        for budget in self.service._budgets.values():
            budget._level = -1e9

    def end(self):
        for budget in self.service._budgets.values():
            budget._level = budget._burst


@dataclass
class Killed:
    """The process that wrote is gone; another one begins."""

    replica: Replica

    def __post_init__(self):
        raise SystemExit

    def end(self):
        self.replica.start()


@pytest.mark.parametrize("failure", [throttled, unavailable, without_slices, without_writes, killed])
def test_a_switch_before_a_deregistration_arrives_ends_with_production_full(registered, replica, play, failure):
    """Argo switches between the look and the write, and then something fails: full within 10 s of the last failure."""
    web, write, faults = registered.web, replica.registrations.write, []

    def deregister(operation, *arguments):
        """Argo switches, the controller takes out blue, and only then the deregistration arrives."""
        if operation != DEREGISTER:
            return write(operation, *arguments)
        web.switch(0)
        registered.story._slices.reconcile()
        blue = registered.addresses(web.blue) - registered.addresses(web.green)
        registered.world.aws.deregister(registered.production, blue)
        write(operation, *arguments)
        replica.registrations.write = write
        faults.append(failure(registered.world, replica))
        return None

    replica.registrations.write = deregister
    abort(registered)
    web.publish()
    registered.clock.pass_(2)
    with suppress(SystemExit):
        replica.look()
    emptied = registered.addresses(web.green) & present(registered)
    if failure not in (killed, without_slices):
        registered.clock.pass_(1)
        replica.look()
    left_by_failure = registered.addresses(web.green) & present(registered)
    for fault in faults:
        fault.end()
    if failure is killed:
        replica.start()
    play(10)

    assert emptied == left_by_failure == set()
    assert registered.addresses(web.green) <= present(registered)


def evict(green, now):
    green.end_first_pod(now)


def replace_pod(green, now):
    green.replace_first_pod(now)


def terminate_for_long(green, now):
    """It serves its last requests for a minute, and stays healthy."""
    green.replace_first_pod(now)
    green._pods[0].gone_at += 60


@pytest.mark.parametrize("ends", [evict, replace_pod, terminate_for_long])
def test_a_green_pod_that_is_gone_leaves_production_at_once(registered, play, ends):
    """The address of a pod that terminates or is evicted is no target 3 s later, nor after a switch that follows."""
    gone = (registered.web.green._pods[0].address, 8080)
    ends(registered.web.green, registered.clock.seconds)
    play(3)
    after_three = present(registered)
    registered.web.switch(registered.clock.seconds)
    play(10)

    assert gone not in after_three | present(registered)


def test_a_step_of_a_clock_undoes_nothing(registered, replica, play):
    """A clock that jumps by an hour, or an hour in which nobody looked, is no time of a handover."""
    before = record(registered)["age"]
    clock = replica.sources.shared.clock
    replica.sources.shared.clock = lambda: clock() + timedelta(hours=1)
    play(5)

    assert record(registered)["age"] <= before + 30
    assert len(registered.addresses(registered.web.green) & present(registered)) == 4


def test_nothing_is_written_before_it_is_recorded(stage, replica, play):
    """At each registration the stored record has the targets, and at each deregistration the reason."""
    write, seen = replica.registrations.write, []

    def recorded_first(operation, group, targets, *rest):
        if targets:
            stored = record(stage)
            known = {(ip, port) for each in stored["groups"] for ip, port, _ in each["targets"]}
            seen.append((operation, targets <= known, stored["ended"]))
        write(operation, group, targets, *rest)

    replica.registrations.write = recorded_first
    play(16)
    abort(stage)
    play(3)

    assert seen == [("RegisterTargets", True, ""), ("DeregisterTargets", True, "Argo aborted the Rollout")]


def test_a_restart_and_an_abort_leave_nothing_behind(registered, replica, play):
    """A process that knows nothing of the handover undoes it from the record, without a query."""
    green = registered.addresses(registered.web.green)
    replica.start()
    abort(registered)
    registered.web.green.scale_down(now=registered.clock.seconds)
    play(15)

    assert not green & present(registered)
    assert registered.addresses(registered.web.blue) <= present(registered)


def test_a_pass_holds_until_argo_has_acted_on_it(registered, replica, play):
    """A pass in the last second of maxHandoverSeconds keeps green until Argo switches, which leaves no gap."""
    web = registered.web
    for _ in range(11):
        replica.ask("web", web.green.pod_hash)
        play(5)
    assert record(registered)["passed"] is not None
    play(UNDO_SECONDS + 10)
    kept = registered.addresses(web.green) & present(registered)
    web.switch(registered.clock.seconds)
    play(10)

    assert len(kept) == 4
    assert min(count for _, count in registered.healthy) >= 4


def test_a_pass_does_not_hold_for_ever(registered, replica, play):
    """A pass that Argo does not act on ends by a limit of its own, and says so."""
    web = registered.web
    play(12)
    assert replica.ask("web", web.green.pod_hash)["phase"] == "Successful"
    registered.play(HOLD_SECONDS, step=10, between=replica.look)
    play(30)

    assert not registered.addresses(web.green) & present(registered)
    assert "did not switch within 300 s" in record(registered)["ended"]


def test_a_handover_that_ends_during_a_query_is_no_pass(registered, replica, play):
    """A record that ended after the query read it stays ended, and the answer waits though every target is healthy."""
    web, handovers = registered.web, replica.handovers
    play(12)

    def end_and_judge(*arguments):
        key = (NAMESPACE, "web", web.green.pod_hash)
        handovers._records.update(key, lambda now: now.end("undone by a person"), Deadline(60))
        return question.judge(*arguments)

    handovers.check = replace(handovers.check, judge=end_and_judge)
    replica.app = create_app(replica.sources, replica.metrics, handovers=handovers)
    answer = replica.ask("web", web.green.pod_hash)

    assert answer["phase"] == "Inconclusive"
    assert "changed meanwhile" in answer["message"]
    assert (record(registered)["ended"], record(registered).get("passed")) == ("undone by a person", None)


def test_another_caller_changes_no_limit(registered, replica, play):
    """A query with other parameters is answered by those that began the handover, and ends nothing."""
    one = (registered.web.green._pods[0].address, 8080)
    registered.world.aws.load_balancers.pin(registered.production, *one, "initial")
    for _ in range(4):
        answer = replica.ask("web", registered.web.green.pod_hash, maxHandoverSeconds=10, minHealthyPercent=50)
        play(5)

    assert answer["reason"] == "HandoverWaiting"
    assert record(registered)["parameters"]["maxHandoverSeconds"] == 60
    assert len(registered.addresses(registered.web.green) & present(registered)) == 4


def test_a_batch_without_time_to_be_judged_is_refused(replica):
    """A first batch needs a full minute of metrics, so a shorter limit is a sentence that names both parameters."""
    body = {"namespace": NAMESPACE, "rollout": "web", "podTemplateHash": "abc", "batchPercent": 25}
    refused = replica.app.test_client().post("/v1/handover", json=body)

    assert refused.status_code == 400
    assert "batchPercent below 100 needs maxHandoverSeconds of at least 300" in refused.text


def test_a_batch_is_judged_though_it_is_enough(stage, replica, play):
    """A batch that meets minHealthyPercent by itself, or is all of green, does not pass before its errors are known."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    reasons = []
    for _ in range(5):
        answer = replica.ask(
            "web", stage.web.green.pod_hash, batchPercent=99, minHealthyPercent=50, maxHandoverSeconds=600
        )
        reasons.append(answer["reason"])
        play(5)

    assert set(reasons) == {"HandoverWaiting"}


def test_two_replicas_look_after_a_handover_once(registered, sources, account):
    """Only the holder of the lease writes; when it dies the other takes over, and answers come from the record."""
    other = Replica(sources, account)
    writes = registered.world.aws.faults
    writes.forget_calls()
    other.look()
    abort(registered)
    registered.web.publish()
    registered.clock.pass_(3)
    other.look()
    written_by_the_other = [call for call in registered.world.aws.calls if "Deregister" in str(call)]
    registered.play(8, between=other.look)

    assert written_by_the_other == []
    assert not registered.addresses(registered.web.green) & present(registered)


def recorded(**changes):
    """A handover of two green pods, registered 20 s ago and queried since."""
    targets = frozenset(RecordedTarget(f"10.0.0.{number}", 8080, f"uid-{number}") for number in (1, 2))
    group = RecordedGroup("arn", "active", Place("eu-west-1"), targets)
    fields = {"age": 20.0, "queried": 20.0} | changes
    return HandoverRecord("shop", "web", GREEN, "active", {"maxHandoverSeconds": 60}, NOW, (group,), **fields)


def run(phase, place="prePromotionAnalysis"):
    return RunStatus(place, f"web-{GREEN}-2-pre", phase)


PASSED = {"passed": 20.0, "age": 300.0, "queried": 20.0}


@pytest.mark.parametrize(
    ("stored", "activity", "ends"),
    [
        pytest.param({}, {}, False, id="Argo may still switch"),
        pytest.param({"age": 20 + HOLD_SECONDS + 1}, {}, True, id="the bound of a pass"),
        pytest.param({"passed": None, "age": 61.0, "queried": 60.0}, {}, True, id="maxHandoverSeconds without a pass"),
        pytest.param({"passed": None, "age": 50.0, "queried": 50.0 - UNDO_SECONDS - 1}, {}, True, id="not queried"),
        pytest.param({"passed": None, "age": 50.0, "queried": 0.0}, {}, False, id="queried lately enough"),
        pytest.param({}, {"is_aborted": True}, True, id="abort"),
        pytest.param({}, {"pauses": ("InconclusiveAnalysisRun",)}, True, id="pause"),
        pytest.param({}, {"pauses": ("BlueGreenPause",)}, False, id="the pause before every switch"),
        pytest.param({}, {"runs": (run("Failed"),)}, True, id="the AnalysisRun failed"),
        pytest.param({}, {"runs": (run("Error"),)}, True, id="the AnalysisRun has an error"),
        pytest.param({}, {"runs": (run("Successful"),)}, False, id="the AnalysisRun passed"),
        pytest.param({}, {"runs": (run("Failed", "postPromotionAnalysis"),)}, False, id="an AnalysisRun of later"),
    ],
)
def test_a_pass_ends_only_when_argo_will_not_act_on_it(stored, activity, ends):
    """A pass holds beyond the limits of its query, until Argo says that it will not switch, or its own bound."""
    of = rollout(activity=replace(rollout().activity, **activity))
    passed = recorded(**(PASSED | stored))

    assert bool(why_ended(passed, of, passed.age, UNDO_SECONDS)[0]) is ends


def facts(states, *, behind=(), living=("uid-1", "uid-2"), selected=BLUE, of=None):
    """What was read: the states of targets by the last number of their address, and the rest."""
    held = {(f"10.0.0.{number}", 8080): state for number, state in states.items()}
    addresses = frozenset(f"10.0.0.{number}" for number in behind)
    return Facts(of or rollout(), service("active", selected), addresses, addresses, frozenset(living), {"arn": held})


def test_a_record_ends_only_once_the_controllers_cache_has_expired():
    """A group must have held what it should for WATCH_SECONDS without a break; what is missing is registered again."""
    right = facts({1: "healthy", 2: "healthy"}, behind=(1, 2), selected=GREEN)
    missing = facts({1: "healthy"}, behind=(1, 2), selected=GREEN)
    stored, ends, writes = recorded(), [], []
    for seen, age in ((right, 20), (right, 349), (missing, 349.5), (right, 350), (right, 679), (right, 680)):
        plan = desired(stored, seen, age, UNDO_SECONDS)
        stored = plan.record
        ends.append(plan.is_over)
        writes.append(plan.groups[0].register)

    assert WATCH_SECONDS == 330
    assert ends == [False] * 5 + [True]
    assert writes == [set(), set(), {("10.0.0.2", 8080)}, set(), set(), set()]


def test_the_address_of_a_pod_that_is_gone_may_become_another_applications():
    """Once neither the pod nor its target exists the address is forgotten, and whoever gets it next is not touched."""
    dead = facts({1: "healthy", 2: "healthy"}, living=("uid-1",))
    taken_out = facts({1: "healthy", 2: "draining"}, living=("uid-1",))
    reused = facts({1: "healthy", 2: "healthy"}, living=("uid-1",))
    first = desired(recorded(), dead, 20, UNDO_SECONDS)
    early = desired(first.record, taken_out, 21, UNDO_SECONDS, is_quiet=False)
    second = desired(first.record, taken_out, 40, UNDO_SECONDS)
    third = desired(second.record.end("an abort"), reused, 41, UNDO_SECONDS)

    assert first.groups[0].deregister == {("10.0.0.2", 8080)}
    assert early.record.groups == first.record.groups  # a registration may still be in flight
    assert second.is_right
    assert third.groups[0].deregister | third.groups[0].waiting == {("10.0.0.1", 8080)}


ADDRESSES = [f"10.0.0.{number}" for number in range(1, 6)]
STATES = st.sampled_from(["healthy", "initial", "unhealthy", "draining", "unused"])


@given(
    states=st.dictionaries(st.sampled_from(ADDRESSES), STATES),
    behind=st.frozensets(st.sampled_from(ADDRESSES)),
    ready=st.frozensets(st.sampled_from(ADDRESSES)),
    living=st.frozensets(st.sampled_from(["uid-1", "uid-2"])),
    selected=st.sampled_from([GREEN, BLUE, None]),
    age=st.sampled_from([20.0, 61.0, 500.0]),
    passed=st.sampled_from([None, 20.0]),
    is_aborted=st.booleans(),
)
def test_the_plan_keeps_the_law(states, behind, ready, living, selected, age, passed, is_aborted):
    """Never out: what is behind production, unrecorded, or the last healthy pod; never in: what is not living."""
    of = rollout(activity=replace(rollout().activity, is_aborted=is_aborted))
    held = {(ip, 8080): state for ip, state in states.items()}
    facts = Facts(of, service("active", selected) if selected else None, behind, ready & behind, living, {"arn": held})
    plan = desired(recorded(passed=passed), facts, age, UNDO_SECONDS)
    (group,) = plan.groups
    own = {(f"10.0.0.{number}", 8080) for number in (1, 2)}
    alive = {(f"10.0.0.{number}", 8080) for number in (1, 2) if f"uid-{number}" in living}
    healthy = {key for key, state in held.items() if state == "healthy"}

    assert group.register | group.deregister <= own
    assert group.register <= alive
    assert not {ip for ip, _ in group.deregister} & behind
    assert not group.register & group.deregister
    assert not healthy & alive or not healthy <= group.deregister
    if not selected:
        assert not group.deregister & alive
    if plan.is_switched:
        assert {ip for ip, _ in group.register} <= ready & behind
    assert (own - alive) & {key for key, state in held.items() if state not in ("draining", "unused")} <= (
        group.deregister | group.waiting
    )
    if plan.is_over:
        assert plan.is_right
