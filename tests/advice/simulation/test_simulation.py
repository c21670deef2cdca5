"""A simulated switch: the founding situation, and that it agrees with the forecast."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provider.advice.preflight.forecast import REGISTRATION_SECONDS, Switch, forecast
from provider.advice.simulation.report import markdown, outcomes, situations, svg, text
from provider.advice.simulation.run import STEP_SECONDS, run
from provider.advice.simulation.situation import Green, Situation, Strategy
from tests.advice.simulation.documented import DRAWING, PAGE, rendered

SMALL = Situation(Strategy.GATED, pods=20, requests_per_second=400, interval_seconds=10, lasts_seconds=30)


@given(st.integers(1, 300), st.sampled_from([5, 10, 15, 30]), st.integers(0, 10_000))
@settings(max_examples=30)
def test_no_simulated_gap_is_beyond_what_is_possible(pods, interval, seed):
    """Whatever the numbers, the gap is at least the forecast's best, and never longer than a whole interval more."""
    situation = Situation(Strategy.UNGATED, pods=pods, requests_per_second=100, interval_seconds=interval, seed=seed)
    expected = forecast(Switch(pods, pods, interval)).gap

    hole = run(replace(situation, lasts_seconds=interval + 5)).longest_hole_seconds

    slack = 3 * STEP_SECONDS
    assert expected.best - slack <= hole <= interval + REGISTRATION_SECONDS[2] + slack


@pytest.mark.parametrize(("pods", "interval"), [(4, 10), (8, 10), (40, 15), (250, 5)])
def test_nearly_all_gaps_lie_within_the_forecast(pods, interval):
    """Of fifty switches at most two are better than best or worse than worst, and their mean is what was expected."""
    expected = forecast(Switch(pods, pods, interval)).gap
    base = Situation(
        Strategy.UNGATED, pods=pods, requests_per_second=80, interval_seconds=interval, lasts_seconds=interval + 3
    )

    holes = [run(replace(base, seed=seed)).longest_hole_seconds for seed in range(50)]

    assert sum(expected.best - 0.2 <= hole <= expected.worst + 0.2 for hole in holes) >= 48
    assert abs(sum(holes) / len(holes) - expected.expected) < 0.7


@pytest.mark.parametrize("strategy", [Strategy.HANDOVER, Strategy.BATCHES, Strategy.PING_PONG, Strategy.INSTANCE])
def test_strategies_that_move_no_target_lose_nothing(strategy):
    """With a healthy green no request fails where production's targets stay registered."""
    outcome = run(replace(SMALL, strategy=strategy))

    assert (outcome.failed, outcome.longest_hole_seconds) == (0, 0)


@pytest.mark.parametrize("strategy", [Strategy.UNGATED, Strategy.GATED, Strategy.CANARY])
def test_strategies_that_move_a_selector_have_a_hole(strategy):
    """Blue-green, gated or not, and the last flip of a plain canary leave a time without a healthy target."""
    outcome = run(replace(SMALL, strategy=strategy))

    assert outcome.longest_hole_seconds > 0
    assert outcome.failed >= outcome.longest_hole_seconds * SMALL.requests_per_second * 0.9


@pytest.mark.parametrize("strategy", Strategy)
def test_only_a_gate_keeps_a_sick_green_out(strategy):
    """A gate that judges pods refuses a green with sick pods; without it, or with nodes as targets, users get them."""
    outcome = run(replace(SMALL, strategy=strategy, green=Green.SICK))

    is_kept_out = strategy not in (Strategy.UNGATED, Strategy.INSTANCE)
    assert bool(outcome.refused) == is_kept_out
    assert (outcome.failed == 0) == is_kept_out


def test_batches_expose_few_users():
    """Of a green that answers 5xx batches let fewer users see them than a switch of everybody."""
    base = replace(SMALL, green=Green.ERRORS, lasts_seconds=60)
    batches, everybody = (run(replace(base, strategy=one)) for one in (Strategy.BATCHES, Strategy.PING_PONG))

    assert batches.failed < everybody.failed / 2


def test_a_cold_green_is_slow():
    """A cold green answers slower than a warm one."""
    warm = run(replace(SMALL, strategy=Strategy.PING_PONG))
    cold = run(replace(SMALL, strategy=Strategy.PING_PONG, green=Green.COLD))

    assert cold.worst_latency_seconds > warm.worst_latency_seconds


def test_the_same_seed_gives_the_same():
    """A simulation is repeatable, and another seed is another switch."""
    first, again, other = run(SMALL), run(SMALL), run(replace(SMALL, seed=2))

    assert first == again
    assert first.failures != other.failures


def test_requests_are_conserved():
    """No more requests fail than there are, in total and in each second."""
    for one in outcomes(situations(pods=10, requests_per_second=100.0, lasts_seconds=20.0)):
        assert 0 <= one.failed <= one.requests
        assert sum(one.failures) == pytest.approx(one.failed)


def test_the_tables_have_every_situation():
    """Text and Markdown have a row for each strategy and green, and the drawing a strip with its words."""
    found = outcomes(situations(pods=4, requests_per_second=40.0, lasts_seconds=10.0))

    count = len(Strategy) * len(Green)
    assert len(text(found).splitlines()) == count + 1
    assert len(markdown(found).splitlines()) == count + 2
    assert svg(found).count("<title>") == count


@pytest.mark.long
def test_the_documented_figures_are_those_of_the_code():
    """docs/simulation.md has the table and the drawing of the founding situation (make simulate)."""
    page, drawing = rendered()

    assert page == PAGE.read_text(encoding="utf-8")
    assert drawing == DRAWING.read_text(encoding="utf-8")
