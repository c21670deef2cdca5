"""Conditions of Argo: which do not compile, and what one gives for an answer of the provider."""

import pytest

from provider.rules.condition_outcomes import EvaluationError, outcome
from provider.rules.conditions import mistake

ANSWER = [99.0, "Successful", "all healthy"]


@pytest.mark.parametrize(
    "condition",
    [
        "all(result, {# > 0})",
        'any(result, {.status == "ok"})',
        "result | len() == 3",
        "result[0] > .5 && result[0] < 0x1F",
        'result[1] not in ["Failed", "Inconclusive"]',
        'let phase = result[1];\nphase == "Successful"',
        "len(result) == 0 || isNaN(result[0])",
        'result?.["phase"] == "Successful"',
        "result[:2] == [1, 2]",
        '{"a": 1}.a == 1',
        "if result[0] > 1 { true } else { false }",
        'result[1] == "Successful" // as it answers',
        '/* as it answers */ result[1] == "Successful"',
    ],
)
def test_what_compiles(condition):
    """The grammar of expr, as people use it, has no mistake."""
    assert mistake(condition) == ""


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("result[1] == Successful", "nothing is named Successful"),
        ('result[1] == "Successful" and', "it ends where a value must follow"),
        ('result[1] = "Successful"', "a single ="),
        ("result[", "it ends"),
        ("(result", "( is not closed"),
        ("# > 1", "outside of a predicate"),
    ],
)
def test_what_does_not_compile(condition, says):
    """What people mistype is named."""
    assert says in mistake(condition)


@pytest.mark.parametrize(
    ("condition", "gives"),
    [
        ('result[1] == "Successful"', True),
        ('result[1] == "successful"', False),
        ('result[1] in ["Successful"] && result[0] >= 99', True),
        ('not (result[1] matches "^Succ")', False),
        ("someFunction(result)", None),
    ],
)
def test_what_a_condition_gives(condition, gives):
    """A condition is evaluated as far as it is understood; None is not known."""
    assert outcome(condition, ANSWER) is gives


@pytest.mark.parametrize("condition", ["result.phase == 1", "result[5] == 1", "result[1] > 1", "result[0]"])
def test_what_is_an_error(condition):
    """A condition that asks a list for a field, compares different types, or gives no boolean is an error."""
    with pytest.raises(EvaluationError):
        outcome(condition, ANSWER)
