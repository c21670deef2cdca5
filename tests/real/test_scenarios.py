"""Every scenario with every version of Argo Rollouts."""

from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.real.facts import DOCUMENT, Facts
from tests.real.scenarios import ALONE, SCENARIOS

pytestmark = pytest.mark.timeout(1500)


@pytest.mark.parametrize("name", [*SCENARIOS, *ALONE])
def test_real_argo_does_and_is_told_what_it_must(outcomes: Mapping[str, Future[None]], name: str) -> None:
    """Argo's action, the Services and weights, and every answer on the way are those that the scenario's rule says."""
    outcomes[name].result()


def test_the_table_of_versions_is_what_was_seen(facts: Facts) -> None:
    """docs/versions.md says what this run saw; a complete run that saw something else writes it anew."""
    if not facts.is_complete():
        pytest.skip("Only some scenarios or versions ran.")
    was, seen = DOCUMENT.read_text(encoding="utf-8"), facts.text()
    DOCUMENT.write_text(seen, encoding="utf-8")
    assert seen == was, "docs/versions.md was written anew: look at the difference."
