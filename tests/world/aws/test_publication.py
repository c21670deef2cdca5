"""The embedded CloudWatch publishes as a real one is assumed to: in parts that add up, and never less."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.world.aws.publication import CORRECTED_SECONDS, EARLIEST_SECONDS, parts, published

END = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)


@given(value=st.integers(0, 1_000_000), seed=st.integers())
def test_parts_only_grow_and_add_up(value, seed):
    """A count appears from 20 s on, never falls, is complete after the latest correction, and is the seed's."""
    found = parts(value, Random(seed))

    seen = [published(found, END, END + timedelta(seconds=second)) or 0 for second in range(0, 200, 5)]
    assert seen == sorted(seen)
    assert (seen[EARLIEST_SECONDS // 5 - 1], seen[-1]) == (0, value)
    assert all(part.after <= timedelta(seconds=CORRECTED_SECONDS[1]) for part in found)
    assert found == parts(value, Random(seed))
