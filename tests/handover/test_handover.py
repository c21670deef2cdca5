"""A switch after a handover leaves no second without a healthy target, and what comes to nothing is undone."""

import pytest
from prometheus_client import generate_latest

from provider.sources.aws.registrations import DEREGISTER
from tests.app import create_app
from tests.handover.stage import UNDO_SECONDS
from tests.world.aws.cloudwatch import Datum
from tests.world.cluster import objects
from tests.world.story.examples import NAMESPACE


def written(metrics, operation):
    """The targets named in calls of an operation."""
    name = f'alb_provider_written_targets_total{{operation="{operation}"}}'
    lines = generate_latest(metrics.registry).decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(name))


def green_in_production(stage):
    """Green's targets in the production group that are not on their way out."""
    green = stage.addresses(stage.web.green)
    return {key for key, state in stage.states().items() if key in green and state not in ("draining", "unused")}


def test_a_switch_without_a_gap(stage, replica, play):
    """Never fewer targets are healthy than pods are wanted, and the answer after the switch says what was seen."""
    play(50)

    assert stage.web.switched_at is not None
    assert min(count for _, count in stage.healthy) >= 4
    answer = replica.app.test_client().get("/v1/target-health?namespace=shop&rollout=web").get_json()
    shown = answer["observed"]["lastSwitch"]
    assert (shown["secondsUntilHealthy"], shown["leastHealthyCount"], shown["resetCount"]) == (0.0, 4, 0)
    assert written(replica.metrics, "DeregisterTargets") == 0


def test_a_green_pod_that_ends_is_replaced_and_handed_over(stage, replica, play):
    """An evicted pod of green that lies beside its replacement holds up no handover, and is never registered."""
    stage.play(12)
    stage.web.green.end_first_pod(stage.clock.seconds)
    play(40)

    assert stage.web.switched_at is not None
    assert min(count for _, count in stage.healthy) >= 4
    assert written(replica.metrics, "RegisterTargets") == 4


def test_a_switch_without_handover_has_a_gap(stage):
    """The model that shows no gap with a handover shows one without."""
    stage.web._ask = lambda _name, _hash: "Successful"
    stage.play(50)

    assert min(count for _, count in stage.healthy) == 0


def test_nothing_is_written_while_the_gate_does_not_pass(stage, replica, play):
    """A sick green is never registered: the answer is the gate's."""
    stage.play(2)
    stage.web.green.make_sick()
    answers = []

    def ask(name, pod_hash):
        answers.append(replica.ask(name, pod_hash))
        return answers[-1]["phase"]

    stage.web._ask = ask
    play(56)

    assert {one["reason"] for one in answers} >= {"TargetsUnhealthyInGrace", "TargetsUnhealthy"}
    assert written(replica.metrics, "RegisterTargets") == 0
    assert stage.web.switched_at is None


def test_handover_is_off_by_default(sources, metrics, stage):
    """Without handover the endpoint refuses and writes nothing; with or without it GET is 405."""
    stage.play(14)
    world = stage.world
    world.aws.faults.forget_calls()
    off = create_app(sources, metrics).test_client()
    body = {"namespace": NAMESPACE, "rollout": "web", "podTemplateHash": stage.web.green.pod_hash}
    refused, got = off.post("/v1/handover", json=body), off.get("/v1/handover")

    assert (refused.status_code, got.status_code) == (403, 405)
    assert "PROVIDER_HANDOVER=enabled" in refused.text
    assert world.aws.calls == []


def abort(stage):
    stage.web.aborted_at = stage.clock()
    stage.web.phase = "Degraded"


def supersede(stage):
    stage.web.change_template(0)
    stage.web.observe(0)


def pause(stage):
    stage.web.pause_reason = "InconclusiveAnalysisRun"
    stage.web.pause(0)


def delete(stage):
    stage.web.publish = lambda: None
    stage.world.kubernetes.delete("Rollout", NAMESPACE, "web", "argoproj.io/v1alpha1")


def ask_no_more(stage):
    """Queries have ended."""


@pytest.mark.parametrize(
    ("event", "seconds"), [(abort, 2), (supersede, 2), (pause, 2), (delete, 2), (ask_no_more, UNDO_SECONDS + 2)]
)
def test_what_comes_to_nothing_is_undone(registered, replica, play, event, seconds):
    """Green is taken out of production when the switch will not come, and blue is never touched."""
    event(registered)
    blue = registered.addresses(registered.web.blue)
    green = green_in_production(registered)
    play(seconds)

    states = registered.states()
    assert {key for key in green if states.get(key) not in (None, "draining", "unused")} == set()
    assert {states[key] for key in blue} == {"healthy"}
    assert written(replica.metrics, "DeregisterTargets") == 4


@pytest.mark.long
def test_a_handover_that_takes_too_long_is_undone(stage, replica, play):
    """After maxHandoverSeconds green is out of production again, the answer says so, and it does not begin again."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    balancers, green, production = stage.world.aws.load_balancers, stage.web.green, stage.production
    for ip, port in stage.addresses(green):
        balancers.pin(production, ip, port, "initial")
    answers = [replica.ask("web", green.pod_hash, maxHandoverSeconds=12)]
    for _ in range(4):
        play(5)
        answers.append(replica.ask("web", green.pod_hash))
    reasons = [one["reason"] for one in answers]
    for ip, port in stage.addresses(green):
        balancers.unpin(production, ip, port)

    assert set(reasons[:2]) == {"HandoverWaiting"}
    assert reasons[-1] == "HandoverTimedOut"
    assert "maxHandoverSeconds=12" in answers[-1]["message"]
    assert answers[-1]["observed"]["action"] == "fix"
    assert green_in_production(stage) == set()


def test_a_restart_goes_on(registered, replica, play):
    """A process without a ledger finds green registered, takes it for its own, and the switch has no gap."""
    replica.start()
    registered.web._ask_at = registered.clock.seconds
    play(35)

    assert registered.web.switched_at is not None
    assert min(count for _, count in registered.healthy) >= 4
    assert written(replica.metrics, "RegisterTargets") == 4


def test_a_controller_that_takes_green_out_is_answered_by_registering_again(registered, replica, play):
    """A reconcile that deregisters green is no pass: its targets are registered once more."""
    production = registered.production
    registered.world.aws.deregister(production, green_in_production(registered))
    answer = replica.ask("web", registered.web.green.pod_hash)
    play(12)

    assert answer["reason"] == "HandoverWaiting"
    assert len(green_in_production(registered)) == 4
    assert written(replica.metrics, "RegisterTargets") == 8


@pytest.mark.parametrize(
    ("code", "reason", "says"),
    [
        ("AccessDenied", "AwsForbidden", "elasticloadbalancing:RegisterTargets"),
        ("TooManyTargets", "HandoverImpossible", "raise the quota"),
        ("TooManyRegistrationsForTargetId", "HandoverImpossible", "raise the quota"),
    ],
)
def test_a_refusal_by_aws_says_what_to_change(stage, replica, code, reason, says):
    """A role that may not register targets, and a quota that is used up, are answers that name what to change."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    stage.world.aws.faults.aws_error("RegisterTargets", code, "no", 403)
    replica.ask("web", stage.web.green.pod_hash)
    replica.look()
    answer = replica.ask("web", stage.web.green.pod_hash)

    assert answer["reason"] == reason
    assert says in answer["message"]
    assert answer["observed"]["action"] == "fix"


@pytest.mark.parametrize(
    ("failed", "reason", "registered_at_last"), [(0, "HandoverReady", 4), (50, "ErrorsAboveLimit", 0)]
)
def test_the_first_batch_comes_first(stage, replica, play, failed, reason, registered_at_last):
    """With batchPercent so many of green come first; the rest follows a minute without errors, else all is undone."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    stage.web._ask_at = None
    balancer, counts, reasons = stage.world.aws.load_balancer(), [], []
    for _ in range(40):
        minute = stage.clock().replace(second=0)
        for group in (None, stage.production):
            stage.world.aws.cloudwatch.publish(
                [
                    Datum(balancer, group, "RequestCount", minute, 10),
                    *([Datum(balancer, group, "HTTPCode_Target_5XX_Count", minute, failed)] if failed else []),
                ]
            )
        answer = replica.ask("web", stage.web.green.pod_hash, batchPercent=25, maxHandoverSeconds=600)
        replica.look()
        counts.append(len(green_in_production(stage)))
        reasons.append(answer["reason"])
        if answer["phase"] != "Inconclusive":
            break
        play(8)

    assert counts[0] == 1
    assert set(counts) <= {0, 1, 4}
    assert counts.count(1) * 8 >= 120  # CloudWatch's lag, and a full minute of one pod
    play(1)
    assert (reasons[-1], len(green_in_production(stage))) == (reason, registered_at_last)


def test_a_switch_in_the_very_moment_of_an_undoing_keeps_production(registered, replica, monkeypatch):
    """If Argo switches between the look and the write of an undoing, what was taken out is registered again at once."""
    web, registrations = registered.web, replica.registrations
    original = registrations.write

    def write(operation, *arguments):
        original(operation, *arguments)
        if operation != DEREGISTER:
            return
        web.switch(0)
        registered.story._slices.reconcile()

    monkeypatch.setattr(registrations, "write", write)
    registered.play(UNDO_SECONDS + 10, step=10, between=replica.look)

    assert len(green_in_production(registered)) == 4
    assert written(replica.metrics, "RegisterTargets") == 8


def test_a_handover_that_nobody_can_look_after_is_in_the_metric(registered, replica):
    """While AWS answers no read, the time since the last look grows beyond the alert's minute, and is 0 afterwards."""

    def unsettled():
        lines = generate_latest(replica.metrics.registry).decode().splitlines()
        (line,) = [one for one in lines if one.startswith("alb_provider_handover_unsettled_seconds ")]
        return float(line.split()[-1])

    seen = [unsettled()]
    refused = registered.world.aws.faults.aws_error("DescribeTargetHealth", "AccessDenied", "no", 403)
    for _ in range(8):
        registered.clock.pass_(10)
        replica.look()
    seen.append(unsettled())
    refused.end()
    replica.look()
    replica.look()
    seen.append(unsettled())

    assert seen[0] == seen[2] == 0
    assert seen[1] > 60


def test_production_is_never_taken_out(registered, replica, play):
    """After a switch that the answer did not cause, green stays: it is behind the production Service."""
    registered.web.switch(0)
    play(UNDO_SECONDS + 5)

    assert len(green_in_production(registered)) == 4
    assert written(replica.metrics, "DeregisterTargets") == 0


def pass_time(stage, replica):
    """Let time pass for the provider alone, until a handover that nobody asks for is to be undone."""
    for _ in range(8):
        stage.clock.pass_(10)
        replica.look()


def test_nothing_is_taken_out_while_the_production_service_is_gone(registered, replica):
    """Of a production Service that was deleted nobody knows what it selected last: the undoing waits for it."""
    web, cluster = registered.web, registered.world.kubernetes
    service = cluster.get("Service", NAMESPACE, web.active_service)
    cluster.delete("Service", NAMESPACE, web.active_service)
    pass_time(registered, replica)
    kept = len(green_in_production(registered))
    answer = replica.ask("web", web.green.pod_hash)
    cluster.put(service)
    pass_time(registered, replica)

    assert (kept, answer["reason"]) == (4, "ServiceNotFound")
    assert written(replica.metrics, "DeregisterTargets") == 4


@pytest.mark.parametrize("by_name", [False, True])
def test_a_group_of_two_services_is_refused(stage, replica, by_name):
    """A production group that another Service's binding fills too, by ARN or by name, is refused without a write."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    other = objects.target_group_binding("other", namespace=NAMESPACE, service="other", arn=stage.production)
    if by_name:
        name = other["spec"].pop("targetGroupARN").partition(":targetgroup/")[2].partition("/")[0]
        other["spec"]["targetGroupName"] = name
    stage.world.kubernetes.put(other)
    answer = replica.ask("web", stage.web.green.pod_hash)

    assert answer["reason"] == "HandoverImpossible"
    assert "TargetGroupBinding other" in answer["message"]
    assert written(replica.metrics, "RegisterTargets") == 0


def test_a_question_about_the_version_before_registers_nothing(stage, replica, monkeypatch):
    """A question that was still reading while the next version's handover began writes nothing any more."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    old = stage.web.green.pod_hash
    sources = replica.sources.load_balancers
    original = sources.health

    def health(bindings, *rest):
        monkeypatch.undo()
        found = original(bindings, *rest)
        supersede(stage)
        stage.web.publish()
        stage.web.scale_up(stage.clock.seconds)
        stage.play(1)
        replica.ask("web", stage.web.green.pod_hash)
        return found

    monkeypatch.setattr(sources, "health", health)
    replica.ask("web", old)

    assert written(replica.metrics, "RegisterTargets") == 0


def test_a_failed_answer_stays_failed_when_the_undoing_is_refused(registered, replica, play):
    """A green that turns sick is Failed although AWS refuses to take it out; that is tried again, and shown."""
    web = registered.web
    web.green.make_sick()
    refused = registered.world.aws.faults.aws_error("DeregisterTargets", "AccessDenied", "no", 403)
    for _ in range(12):
        play(5)
        answer = replica.ask("web", web.green.pod_hash)
        if answer["phase"] == "Failed":
            break
    replica.look()
    shown = replica.app.test_client().get("/v1/target-health?namespace=shop&rollout=web").get_json()["observed"]
    refused.end()
    play(2)

    assert answer["phase"] == "Failed"
    assert shown["leftBehind"]["count"] == 4
    assert green_in_production(registered) == set()
