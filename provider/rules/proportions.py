"""Is one share of failures greater than another beyond chance?

Fisher's exact test, one-sided (R. A. Fisher, The Design of Experiments, 1935): the probability that green would get at
least as many of all failures by chance, given the sizes of both groups. It is exact for small counts, where a normal
approximation is not.
"""

from math import exp, lgamma

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


def _log_choose(whole: int, part: int) -> float:
    return lgamma(whole + 1) - lgamma(part + 1) - lgamma(whole - part + 1)
