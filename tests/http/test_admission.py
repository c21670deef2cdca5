"""Pages and explanations: a few at a time, and never in the way of a query."""

import pytest

from provider.http.admission import Admission, Overloaded, PeopleAdmission


def test_a_look_that_waits_takes_no_place_of_a_query():
    """A look beyond the limit is refused after its wait, while every place but those of the looks admits queries."""
    admission = Admission(2)
    people = PeopleAdmission(admission, 0.01, looks=1)

    with people:
        with pytest.raises(Overloaded, match="Too many pages"):
            people.__enter__()
        with admission:
            pass
    with people, admission:
        pass


def test_a_look_without_a_place_gives_its_turn_back():
    """Where queries take every place a look is refused, and the next one is admitted once there is a place."""
    admission = Admission(1)
    people = PeopleAdmission(admission, 0.01, looks=1)

    with admission, pytest.raises(Overloaded, match="PROVIDER_THREADS"):
        people.__enter__()
    with people:
        pass
