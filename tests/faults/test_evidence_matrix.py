"""Every call x answers that are whole and well-formed, and cannot be true, or are about something else."""

import pytest

from tests.faults import evidence_faults
from tests.faults.conftest import assert_law
from tests.faults.matrix import Combination, Run, spread

pytestmark = pytest.mark.timeout(900)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", spread(evidence_faults.combinations()))
def test_evidence_that_cannot_be_true_never_passes(run: Run, combination: Combination) -> None:
    """Duplicates, strangers, times of another age and numbers that count nothing lead to their own reason."""
    assert_law(combination, run.outcome(combination))
