"""Every call of AWS x every fault."""

import pytest

from tests.faults import aws_faults
from tests.faults.conftest import assert_law
from tests.faults.matrix import Combination, Run, spread

pytestmark = pytest.mark.timeout(900)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", spread(aws_faults.combinations()))
def test_an_aws_call_that_fails_blocks_in_time_and_recovers(run: Run, combination: Combination) -> None:
    """Each fault of each call has its own reason and names the IAM action, and is forgotten once it is over."""
    assert_law(combination, run.outcome(combination))
