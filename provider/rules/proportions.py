"""Is one share greater than another beyond chance?

Fisher's exact test, one-sided (R. A. Fisher, The Design of Experiments, 1935): the probability that green would get at
least as many of all failures by chance, given the sizes of both groups. It is exact for small counts, where a normal
approximation is not.
"""

from math import exp, lgamma, log, log1p

FEWEST_TO_COMPARE = 100
"""Requests each side needs for a comparison: with fewer, even zero failures do not rule out a true share of 3 %
(the rule of three: Hanley and Lippman-Hand, JAMA 1983)."""

NEGLIGIBLE = 1e-17
"""A term smaller than this share of the sum does not change a float."""


def chance_of_as_many(green_failures: int, green_total: int, blue_failures: int, blue_total: int) -> float:
    """Return the one-sided p-value, between 0 and 1: small means that green is worse than blue beyond chance.

    Raises ValueError if there are more failures than requests.
    """
    if not (0 <= green_failures <= green_total and 0 <= blue_failures <= blue_total):
        raise ValueError("failures must be between 0 and the total")
    if green_failures * blue_total <= blue_failures * green_total:
        return 1.0  # green's share is not greater
    failures, total = green_failures + blue_failures, green_total + blue_total
    term = exp(
        _log_choose(failures, green_failures)
        + _log_choose(total - failures, green_total - green_failures)
        - _log_choose(total, green_total)
    )
    chance = 0.0
    # Beyond the mean of the hypergeometric distribution the terms fall, so the sum is short.
    for count in range(green_failures, min(failures, green_total) + 1):
        chance += term
        if term <= chance * NEGLIGIBLE:
            break
        gone = green_total - count
        term *= (failures - count) * gone / ((count + 1) * (total - failures - gone + 1))
    return min(chance, 1.0)


def chance_of_as_few(count: int, total: int, share: float) -> float:
    """Return the probability of at most so many out of `total`, each with probability `share` (binomial, one-sided).

    Small means that the true share is below `share` beyond chance. 1 if the count is not below what is expected. Raises
    ValueError unless 0 <= count <= total and 0 < share < 1.
    """
    if not (0 <= count <= total and 0 < share < 1):
        raise ValueError("the count must be between 0 and the total, and the share between 0 and 1")
    if count >= share * total:
        return 1.0
    term = exp(_log_choose(total, count) + count * log(share) + (total - count) * log1p(-share))
    chance = 0.0
    # Below the mean the terms fall, so the sum is short.
    for number in range(count, -1, -1):
        chance += term
        if term <= chance * NEGLIGIBLE:
            break
        term *= number * (1 - share) / ((total - number + 1) * share)
    return min(chance, 1.0)


def _log_choose(whole: int, part: int) -> float:
    return lgamma(whole + 1) - lgamma(part + 1) - lgamma(whole - part + 1)
