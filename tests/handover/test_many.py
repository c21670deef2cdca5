"""Many handovers at once, and many who ask: the loop waits for no query, and AWS is called no more than it must be."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import msgspec
import pytest

from provider.model.handovers import HandoverRecord, RecordedGroup, RecordedTarget
from provider.model.records import Place
from provider.sources.aws.registrations import BURST, READS_PER_SECOND, Registrations
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.leases import Records
from tests.handover.stage import UNDO_SECONDS, Replica
from tests.records import NOW

REGION = "eu-west-1"


def use_up(replica):
    """Other queries have used up the calls to AWS that queries may make, for hours."""
    for budget in replica.sources.load_balancers.elbv2._budgets.values():
        while budget.level > -1e6:
            budget._level -= 1e7


def names(world):
    return [call.name for call in world.aws.calls]


@pytest.fixture
def records(sources):
    return Records(sources.cluster.server, "platform")


@pytest.fixture
def recorded(world, records):
    """Store records of as many Rollouts that were deleted meanwhile, each with a group and two targets of its own."""

    def recorded(count, *, is_registered):
        arns = []
        for number in range(count):
            arn = world.aws.target_group(f"active-{number}")
            targets = frozenset(RecordedTarget(f"10.50.{number}.{last}", 8080, f"uid-{last}") for last in (1, 2))
            group = RecordedGroup(arn, f"active-{number}", Place(REGION), targets)
            record = HandoverRecord("shop", f"web-{number}", "abc", "active", {"maxHandoverSeconds": 60}, NOW, (group,))
            records.create(record, Deadline(10))
            if is_registered:
                world.aws.register(arn, [target.address for target in targets])
            arns.append(arn)
        world.aws.faults.forget_calls()
        return arns

    return recorded


def test_an_undoing_waits_for_no_query(registered, replica, play):
    """Queries have used up their calls to AWS: an abort takes green out all the same, within 2 s."""
    use_up(replica)
    registered.web.aborted_at = registered.clock()
    play(2)

    green = registered.addresses(registered.web.green)
    assert not {key for key in green if registered.states().get(key) not in (None, "draining", "unused")}


def test_a_query_without_aws_counts_when_it_arrives(registered, replica, play, records):
    """Asked every 5 s and answered AwsBudget for 70 s, a handover is not undone as one that nobody queries."""
    (stored,) = records.all(Deadline(10))
    longer = stored.parameters | {"maxHandoverSeconds": 3600}
    records.update(stored.key, lambda now: msgspec.structs.replace(now, parameters=longer), Deadline(10))
    use_up(replica)
    green = registered.addresses(registered.web.green)
    reasons = set()
    for _ in range(14):
        play(5)
        reasons.add(replica.ask("web", registered.web.green.pod_hash)["reason"])

    assert reasons == {"AwsBudget"}
    assert {registered.states().get(key) for key in green} == {"healthy"}


def test_what_waits_after_an_outage_is_undone_at_the_same_time(world, replica, recorded):
    """More handovers than the writes' burst are all undone in one look, with a single call for each."""
    arns = recorded(int(BURST) + 2, is_registered=True)
    started = replica.handovers.loop.look()
    for pending in started:
        pending.result()

    assert len(started) == len(arns)
    assert names(world).count("DeregisterTargets") == len(arns)
    assert {one.state for arn in arns for one in world.aws.health(arn)} <= {"draining"}


def test_records_without_news_cost_few_calls(world, wall_clock, replica, recorded):
    """While nothing changes, all records together read AWS at the loop's own rate, however many they are."""
    count, seconds = 16, 12
    recorded(count, is_registered=False)
    for _ in range(seconds):
        wall_clock.pass_(1)
        replica.look()

    assert set(names(world)) == {"DescribeTargetHealth"}
    assert count <= len(names(world)) <= count + seconds * READS_PER_SECOND


def test_a_write_that_fails_keeps_no_other_from_being_made(world, replica, records, recorded):
    """Of a record with two groups the second is undone although AWS refuses the first."""
    first, second = recorded(2, is_registered=True)
    both, other = sorted(records.all(Deadline(10)), key=lambda record: record.rollout)
    records.delete(other, Deadline(10))
    records.update(both.key, lambda now: now.with_targets(other.groups), Deadline(10))
    refused = world.aws.faults.aws_error("DeregisterTargets", "AccessDenied", "no", 403, times=1)
    replica.look()
    refused.end()

    assert [{one.state for one in world.aws.health(arn)} for arn in (first, second)] == [{"initial"}, {"draining"}]


def test_nothing_is_taken_out_on_the_word_of_an_earlier_read(registered, replica, play, recorded):
    """Among many records AWS is read less often, but read again before a write: the last healthy targets stay."""
    play(12)
    recorded(16, is_registered=False)
    play(5)
    green, blue = (registered.addresses(each) for each in (registered.web.green, registered.web.blue))
    registered.world.aws.deregister(registered.production, blue)
    registered.web.aborted_at = registered.clock()
    for _ in range(3):
        registered.clock.pass_(1)
        replica.look()
    healthy = {key for key, state in registered.states().items() if state == "healthy"}

    assert healthy == green


def test_two_queries_at_once_begin_once(stage, replica, world):
    """Two queries in the same moment store one record and read each group once; then green is registered once."""
    stage.web._ask = lambda _name, _hash: None
    stage.play(16)
    world.aws.faults.forget_calls()
    with ThreadPoolExecutor(2) as threads:
        reasons = {answer["reason"] for answer in threads.map(replica.ask, ["web"] * 2, [stage.web.green.pod_hash] * 2)}
    asked = names(world)
    replica.look()

    assert reasons == {"HandoverWaiting"}
    assert asked.count("DescribeTargetHealth") == 2
    assert names(world).count("RegisterTargets") == 1


class Held(Registrations):
    """Reads only once it is allowed to."""

    is_allowed, has_begun = Event(), Event()

    def states(self, *arguments):
        self.has_begun.set()
        assert self.is_allowed.wait(60)
        return super().states(*arguments)


def test_a_handover_that_begins_again_is_not_looked_after_twice(registered, replica, records, sources, account):
    """While a look is in flight no second one begins, also if a query begins the handover again."""
    replica.handovers.loop._leadership._identity = ""  # the other replica takes over
    other = Replica(sources, account, writer=Held)
    registered.clock.pass_(UNDO_SECONDS)
    while not (first := other.handovers.loop.look()):
        registered.clock.pass_(1)
    assert Held.has_begun.wait(60)
    (key,) = [record.key for record in records.all(Deadline(10))]
    records.update(key, lambda now: now.end("a newer turn"), Deadline(10))
    second = other.handovers.loop.look()
    Held.is_allowed.set()
    for pending in first:
        pending.result()

    assert (len(first), second) == (1, [])
