"""The test of two shares, against known values and an exact count."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.rules.proportions import chance_of_as_few, chance_of_as_many


def exactly(green: int, green_total: int, blue: int, blue_total: int) -> float:
    """The same tail probability, by counting every way in whole numbers."""
    failures, total = green + blue, green_total + blue_total
    ways = sum(
        comb(failures, count) * comb(total - failures, green_total - count)
        for count in range(green, min(failures, green_total) + 1)
    )
    return float(Fraction(ways, comb(total, green_total)))


@pytest.mark.parametrize(
    ("green", "green_total", "blue", "blue_total", "chance"),
    [(4, 4, 0, 4, 1 / 70), (3, 4, 1, 4, 17 / 70), (2, 4, 2, 4, 1.0), (0, 100, 0, 100, 1.0), (0, 9, 5, 9, 1.0)],
)
def test_known_values(green, green_total, blue, blue_total, chance):
    """Fisher's example gives 1 in 70, and a green that is not worse gets no small value."""
    assert chance_of_as_many(green, green_total, blue, blue_total) == pytest.approx(chance)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_it_is_the_exact_tail(green_total, blue_total, data):
    """Wherever green's share is the greater one the value is the hypergeometric tail, counted exactly."""
    green, blue = data.draw(st.integers(0, green_total)), data.draw(st.integers(0, blue_total))

    found = chance_of_as_many(green, green_total, blue, blue_total)

    if green * blue_total > blue * green_total:
        assert found == pytest.approx(exactly(green, green_total, blue, blue_total), rel=1e-9)
    else:
        assert found == 1.0


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_one_more_failure_of_green_never_speaks_for_it(green_total, blue_total, data):
    """With every further failure of green the p-value falls."""
    green, blue = data.draw(st.integers(0, green_total - 1)), data.draw(st.integers(0, blue_total))

    before = chance_of_as_many(green, green_total, blue, blue_total)
    after = chance_of_as_many(green + 1, green_total, blue, blue_total)

    assert after <= before * (1 + 1e-9)


def test_a_busy_load_balancer():
    """Millions of requests take no longer, and underflow gives 0."""
    assert chance_of_as_many(400_000, 5_000_000, 300_000, 5_000_000) == 0.0
    assert chance_of_as_many(500_400, 5_000_000, 500_000, 5_000_000) == pytest.approx(0.337, abs=0.01)


def test_more_failures_than_requests_are_refused():
    """Impossible counts raise ValueError."""
    with pytest.raises(ValueError, match="between 0 and the total"):
        chance_of_as_many(2, 1, 0, 1)


@given(
    st.integers(1, 80),
    st.fractions(min_value=Fraction(1, 50), max_value=Fraction(49, 50), max_denominator=50),
    st.data(),
)
def test_as_few_is_the_exact_binomial_tail(total, share, data):
    """Below the expected number the value is the binomial tail, counted exactly; from there on it is 1."""
    count = data.draw(st.integers(0, total))
    wanted = sum(comb(total, one) * share**one * (1 - share) ** (total - one) for one in range(count + 1))

    found = chance_of_as_few(count, total, float(share))

    if count < share * total:
        assert found == pytest.approx(float(wanted), rel=1e-9)
    else:
        assert found == pytest.approx(1.0)


def test_as_few_of_millions():
    """Millions take no longer, and underflow gives 0."""
    assert chance_of_as_few(90_000, 2_000_000, 0.05) < 1e-200
    assert chance_of_as_few(10, 2_000_000, 0.05) == 0.0
