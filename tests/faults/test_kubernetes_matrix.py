"""Every read of Kubernetes x every fault."""

import pytest

from tests.faults import kubernetes_faults
from tests.faults.calls import KUBERNETES_CALLS
from tests.faults.conftest import assert_law
from tests.faults.matrix import Combination, Run, spread

pytestmark = pytest.mark.timeout(900)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", spread(kubernetes_faults.combinations()))
def test_a_kubernetes_read_that_fails_blocks_in_time_and_recovers(run: Run, combination: Combination) -> None:
    """Each fault of each read has its own reason and names verb and resource, and is forgotten once it is over."""
    assert_law(combination, run.outcome(combination))


def test_every_exception_is_about_a_combination_that_exists() -> None:
    """An exception to the table of faults names a read and a fault that the matrix has."""
    known = {(combination.call.name, combination.fault.name) for combination in kubernetes_faults.combinations()}

    assert set(kubernetes_faults.EXCEPTIONS) - known == set()
    assert len(KUBERNETES_CALLS) == len({call.name for call in KUBERNETES_CALLS})
