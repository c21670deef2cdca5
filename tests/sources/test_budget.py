"""The call budget and its queue: simulated seconds, no AWS."""

import threading
import time
from contextlib import suppress

import pytest

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.sources.budget import QUEUE_SECONDS, TURN_CALLS, TURN_SECONDS, CallBudget

PER_SECOND, BURST = 5, 20


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def budget(clock: Seconds) -> CallBudget:
    return CallBudget(PER_SECOND, BURST, clock)


def may(budget: CallBudget, asker: str) -> bool:
    """Whether the Rollout gets a call at once."""
    try:
        budget.take(asker, 0)
    except CannotTell as refused:
        return refused.reason is not Reason.AWS_BUDGET
    return True


def test_one_rollout_alone_never_waits(budget, clock):
    """A Rollout with two target groups that asks every 5 s for an hour gets its calls each time."""
    for _ in range(720):
        assert may(budget, "shop/web")
        assert may(budget, "shop/web")
        clock.now += 5


def test_a_rollout_larger_than_the_burst_gets_its_calls(budget, clock):
    """Thirty target groups exceed the burst: the calls beyond it come one by one at the rate, within the same turn."""
    granted = 0
    for _ in range(21):  # two seconds
        while may(budget, "shop/large"):
            granted += 1
        clock.now += 0.1

    assert granted == BURST + 2 * PER_SECOND


def simulate(budget, clock, *, rollouts, seconds, every=5.0):
    """Let Rollouts ask for one call each, in turn and evenly spread, and return when each of them got one."""
    granted: dict[str, list[float]] = {f"shop/web-{number}": [] for number in range(rollouts)}
    began, step = clock.now, every / rollouts
    while clock.now - began < seconds:
        for asker, times in granted.items():
            clock.now += step
            if may(budget, asker):
                times.append(clock.now - began)
    return granted


def in_a_row(times, wanted=3, every=5.0):
    """Whether so many looks followed each other without a miss, and when the last of them was."""
    for first in range(len(times) - wanted + 1):
        row = times[first : first + wanted]
        if row[-1] - row[0] < (wanted - 0.5) * every:
            return row[-1]
    return None


@pytest.mark.parametrize(("rollouts", "minutes"), [(20, 1), (100, 6), (200, 12)])
def test_every_rollout_gets_three_consecutive_reads(budget, clock, rollouts, minutes):
    """With any number of callers every 5 s, each gets three consecutive reads, and none exceeds its share."""
    granted = simulate(budget, clock, rollouts=rollouts, seconds=minutes * 60)

    every_time = sorted(time for times in granted.values() for time in times)
    assert all(in_a_row(times) is not None for times in granted.values())
    for first in range(0, len(every_time), 10):
        for last in range(first, len(every_time), 10):
            span = every_time[last] - every_time[first]
            assert last - first + 1 <= BURST + PER_SECOND * span + 1


def test_twenty_five_gates_at_once_pass_within_half_a_minute(budget, clock):
    """Asked every 3 s as by the example templates, 25 Rollouts of one group each pass three times within the budget."""
    passes = dict.fromkeys([f"shop/web-{number}" for number in range(25)], 0)
    began, calls = clock.now, 0
    while any(row < 3 for row in passes.values()):
        for asker in [asker for asker, row in passes.items() if row < 3]:
            granted = may(budget, asker)
            passes[asker] = passes[asker] + 1 if granted else 0
            calls += granted
        assert calls <= BURST + PER_SECOND * (clock.now - began)
        clock.now += 3

    assert clock.now - began <= TURN_SECONDS


def test_the_calls_are_used(budget, clock):
    """With more callers than calls, at least nine tenths of the budget is used: the queue never idles."""
    granted = simulate(budget, clock, rollouts=200, seconds=600)

    assert sum(len(times) for times in granted.values()) > 0.9 * PER_SECOND * 600


def test_turns_come_in_the_order_of_asking(budget, clock):
    """The first in the queue gets the first free turn, whichever caller asks again first."""
    askers = [f"shop/web-{number}" for number in range(40)]
    served = [asker for asker in askers if may(budget, asker)]
    waiting = [asker for asker in askers if asker not in served]
    order = []
    for _ in range(600):
        clock.now += 0.1
        for one in [*served, *reversed(waiting)]:
            if one not in order and may(budget, one) and one in waiting:
                order.append(one)

    assert len(order) >= 10
    assert max(abs(order.index(name) - waiting.index(name)) for name in order) <= BURST / 2


def test_of_a_long_line_only_those_in_front_go_on(budget, clock):
    """With calls to spare for a few, the rest of the line is sent back at once, instead of reading and then waiting."""
    for _ in range(BURST):
        budget.charge()
    askers = [f"shop/web-{number}" for number in range(200)]
    for one in askers:
        may(budget, one)
    clock.now += 0.7 * BURST / PER_SECOND
    gone_on = []
    for one in askers:
        with suppress(CannotTell):
            budget.require_turn(one)
            gone_on.append(one)

    assert gone_on == askers[: len(gone_on)]
    assert 1 <= len(gone_on) <= BURST


def test_who_leaves_is_not_waited_for(budget, clock):
    """A Rollout that stopped asking loses its place, and those behind it move up."""
    for number in range(40):
        may(budget, f"shop/gone-{number}")
    assert not may(budget, "shop/web")
    clock.now += QUEUE_SECONDS + 1
    assert may(budget, "shop/web")


def test_a_refusal_says_when_the_turn_comes(budget, clock):
    """The sentence and `retryAfterSeconds` give the waiting time; after it the Rollout has its turn."""
    holders = [f"shop/web-{number}" for number in range(10)]
    assert all(may(budget, holder) for holder in holders)
    for _ in range(BURST):
        budget.charge()

    with pytest.raises(CannotTell) as refused:
        budget.take("shop/late", 0)

    seconds = refused.value.observed["retryAfterSeconds"]
    assert 1 <= seconds <= TURN_SECONDS
    assert f"the turn begins in about {seconds} s" in str(refused.value)
    with pytest.raises(CannotTell):
        budget.require_turn("shop/late")
    clock.now += seconds
    budget.require_turn("shop/late")
    assert may(budget, "shop/late")


def test_who_does_not_stand_in_line_is_not_sent_back(budget):
    """Before its first call a question may read Kubernetes, whatever the line is."""
    for _ in range(10 * BURST):
        budget.charge()

    budget.require_turn("shop/new")


def test_a_turn_ends(clock):
    """A turn ends after its time or its calls; then those in the queue come first."""
    budget = CallBudget(PER_SECOND, TURN_CALLS * 2, clock)
    assert all(may(budget, "shop/web") for _ in range(TURN_CALLS))
    assert not may(budget, "shop/web")
    clock.now += 100
    assert may(budget, "shop/web")
    for _ in range(TURN_CALLS * 2):
        budget.charge()
    assert not may(budget, "shop/late")
    clock.now += TURN_SECONDS + 0.1
    assert may(budget, "shop/late")


def test_throttling_halves_what_is_ours_and_calm_gives_it_back(budget, clock):
    """AWS's answer that calls are too many halves the rate, down to a sixteenth; a minute of calm restores it."""
    rates = []
    for _ in range(8):
        clock.now += 1
        budget.throttled()
        budget.throttled()
        rates.append(budget.per_second)
    clock.now += 30
    half_way = budget.per_second
    clock.now += 30

    assert rates[0] == pytest.approx(PER_SECOND / 2)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(PER_SECOND / 16)
    assert half_way == pytest.approx(PER_SECOND * (1 + 1 / 16) / 2)
    assert budget.per_second == PER_SECOND


def test_after_throttling_nobody_calls_for_a_moment(budget):
    """The bucket that AWS found empty is not emptied further by what we had saved up."""
    assert may(budget, "shop/web")
    budget.throttled()
    assert not may(budget, "shop/web")


def test_a_turn_waits_for_its_call_before_its_deadline():
    """Rollouts in the queue wait for the next call in the order of their queries; they are not refused."""
    budget = CallBudget(per_second=50, burst=4)
    budget.take("shop/web", 0)
    for _ in range(8):
        budget.charge()
    done: list[str] = []

    def wait(name: str) -> None:
        budget.take("shop/web", 5)
        done.append(name)

    waiting = [threading.Thread(target=wait, args=(name,)) for name in ("first", "second")]
    for thread in waiting:
        thread.start()
        time.sleep(0.01)
    for thread in waiting:
        thread.join(5)

    assert done == ["first", "second"]


def test_a_newcomer_waits_a_moment_only():
    """A query outside the queue is refused after a short wait, so that few threads wait at any time."""
    budget = CallBudget(per_second=1, burst=4)
    for _ in range(20):
        budget.charge()

    with pytest.raises(CannotTell, match="AWS call budget"):
        budget.take("shop/web", 8)


def test_25_handovers_at_once_end_in_time(clock):
    """With 2 calls a second each of 25 Rollouts that hand over at once is through a minute after it began."""
    budget = CallBudget(2, 8, clock)
    began: dict[str, float] = {}
    lasted: dict[str, float] = {}
    rollouts, start = [f"shop/{number}" for number in range(25)], clock.now
    while len(lasted) < len(rollouts) and clock.now < start + 425:  # 85 x (3 s + 2 s of waiting)
        waiting = [rollout for rollout in rollouts if rollout not in lasted]
        for rollout in waiting:
            if rollout in began:
                budget.give_turn(rollout)
            if may(budget, rollout) and may(budget, rollout):  # green's group, and production's
                began.setdefault(rollout, clock.now)
                if clock.now >= began[rollout] + 30:  # healthy in production
                    lasted[rollout] = clock.now - began[rollout]
            clock.now += 3 / len(waiting)

    assert len(lasted) == 25
    assert max(lasted.values()) <= 60
