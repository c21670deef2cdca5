"""Whatever dies, lags, throttles or repeats, production ends with exactly the targets that belong there."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.handovers import HandoverRecord, RecordedGroup, RecordedTarget
from provider.model.records import Place
from provider.rules.handover_plan import HOLD_SECONDS, Facts, desired
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


def throttled(world):
    return world.aws.faults.aws_error("RegisterTargets", "Throttling", "slower", 400)


def unavailable(world):
    return world.aws.faults.aws_error("RegisterTargets", "ServiceUnavailable", "later", 503)


def killed(_world):
    """The process that wrote is gone; another one begins."""


@pytest.mark.parametrize("failure", [throttled, unavailable, killed])
def test_a_switch_before_a_deregistration_arrives_ends_with_production_full(registered, replica, play, failure):
    """Argo switches between the look and the write, and then something fails: full within 10 s of the last failure."""
    web, original = registered.web, replica.registrations.deregister

    def deregister(*arguments):
        web.switch(0)
        registered.story._slices.reconcile()
        original(*arguments)
        replica.registrations.deregister = original
        if failure is killed:
            raise SystemExit

    def look():
        fault = failure(registered.world)  # of the provider alone, not of the controller
        with suppress(SystemExit):
            replica.look()
        if fault:
            fault.end()

    replica.registrations.deregister = deregister
    abort(registered)
    web.publish()
    registered.clock.pass_(2)
    look()
    emptied = registered.addresses(web.green) & present(registered)
    if failure is killed:
        replica.start()
    else:
        registered.play(5, between=look)
    play(10)

    assert emptied == set()
    assert registered.addresses(web.green) <= present(registered)


def test_a_green_pod_that_is_gone_leaves_production_at_once(registered, play):
    """The address of an evicted pod is no target 5 s later, nor after a switch that follows."""
    green = registered.web.green
    gone = (green._pods[0].address, 8080)
    green.replace_first_pod(registered.clock.seconds)
    play(5)
    after_five = present(registered)
    registered.web.switch(registered.clock.seconds)
    play(10)

    assert gone not in after_five | present(registered)


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


def test_a_query_counts_when_it_arrives(registered, replica, play):
    """Queries that AWS's budget leaves without an answer keep a handover from being undone as not queried."""
    fault = registered.world.aws.faults.aws_error("DescribeTargetGroups", "Throttling", "slower", 400)
    body = {"namespace": NAMESPACE, "rollout": "web", "podTemplateHash": registered.web.green.pod_hash}
    before = record(registered)
    for _ in range(3):
        play(5)
        replica.app.test_client().post("/v1/handover", json=body)
    after = record(registered)
    fault.end()

    assert after["queried"] >= before["queried"] + 8
    assert len(registered.addresses(registered.web.green) & present(registered)) == 4


def test_another_caller_changes_no_limit(registered, replica, play):
    """A query with other parameters is answered by those that began the handover, and ends nothing."""
    for _ in range(4):
        replica.ask("web", registered.web.green.pod_hash, maxHandoverSeconds=10, unhealthyGraceSeconds=0)
        play(5)

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
    assert (own - alive) & {key for key, state in held.items() if state not in ("draining", "unused")} <= (
        group.deregister | group.waiting
    )
    if plan.is_over:
        assert plan.is_right
