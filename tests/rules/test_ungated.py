"""The rule of a switch that no pass preceded, as a table and with random lives of a Rollout."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.reasons import Phase
from provider.model.records import Stage
from provider.rules.ungated import MOST_HASHES, Seen, after_answer, after_look

PASS, FAIL, WAIT, LATE, LOOK = "pass", "fail", "wait", "pass after the switch", "look"


def live(events):
    """Apply events in order: (what, hash)."""
    answers = {
        PASS: (Phase.SUCCESSFUL, Stage.BEFORE_SWITCH),
        FAIL: (Phase.FAILED, Stage.BEFORE_SWITCH),
        WAIT: (Phase.INCONCLUSIVE, Stage.BEFORE_SWITCH),
        LATE: (Phase.SUCCESSFUL, Stage.AFTER_SWITCH),
    }

    def one(seen, event):
        what, pod_hash = event
        return after_look(seen, pod_hash) if what == LOOK else after_answer(seen, pod_hash, *answers[what])

    return reduce(one, events, Seen())


@pytest.mark.parametrize(
    ("events", "ungated"),
    [
        pytest.param([(LOOK, "a"), (PASS, "b"), (LOOK, "b")], "", id="a pass"),
        pytest.param([(LOOK, "a"), (WAIT, "b"), (LOOK, "b")], "b", id="no pass"),
        pytest.param([(LOOK, "a"), (PASS, "b"), (FAIL, "b"), (LOOK, "b")], "b", id="failed after the pass"),
        pytest.param([(LOOK, "a"), (FAIL, "b"), (PASS, "b"), (LOOK, "b")], "", id="passed after the failure"),
        pytest.param([(LOOK, "a"), (PASS, "c"), (LOOK, "b")], "b", id="a pass of another version"),
        pytest.param([(LOOK, "a"), (LATE, "b"), (LOOK, "b")], "b", id="a pass after the switch is none before it"),
        pytest.param([(WAIT, "b"), (LOOK, "b")], "", id="the first look tells nothing"),
        pytest.param([(LOOK, "a"), (PASS, "b"), (LOOK, "b"), (LOOK, "a")], "", id="a rollback"),
        pytest.param([(LOOK, "a"), (LOOK, "b"), (LOOK, "a")], "", id="rolled back: over"),
        pytest.param([(LOOK, "a"), (LOOK, "b"), (LOOK, "")], "b", id="a Service without a hash tells nothing"),
        pytest.param([(LOOK, "a"), (LOOK, "b"), (PASS, "b"), (LOOK, "b")], "b", id="a pass comes too late"),
    ],
)
def test_a_switch_without_a_pass(events, ungated):
    """Only a version that was never served and did not pass since its last failure is an ungated switch."""
    assert live(events).ungated == ungated


@given(
    st.lists(
        st.tuples(st.sampled_from([PASS, FAIL, WAIT, LATE, LOOK]), st.sampled_from([f"h{n}" for n in range(30)])),
        max_size=200,
    )
)
def test_what_is_remembered_is_bounded_and_consistent(events):
    """However long a Rollout lives, few hashes are kept, and an ungated version is the one that serves."""
    seen = live(events)

    assert len(seen.passed) <= MOST_HASHES
    assert len(seen.served) <= MOST_HASHES
    assert seen.ungated in {"", seen.serving}
