"""One test over many small cases, such as the files of a folder: it tries all of them and names each that fails."""

import inspect
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any

import pytest

Test = Callable[..., None]


def each(names: str, cases: Mapping[str, Any]) -> Callable[[Test], Test]:
    """Call the test with every case, by its name: a value for the one parameter, or a tuple for several (`"a, b"`).

    Where cases share nothing and each deserves a result of its own, parametrize is right.
    """
    parameters = [name.strip() for name in names.split(",")]

    def over(test: Test) -> Test:
        def tried(subtests: pytest.Subtests, **fixtures: Any) -> None:
            for name, case in cases.items():
                values = case if len(parameters) > 1 else (case,)
                with subtests.test(name):
                    test(**dict(zip(parameters, values, strict=True)), **fixtures)

        fixtures = [
            parameter for parameter in inspect.signature(test).parameters.values() if parameter.name not in parameters
        ]
        update_wrapper(tried, test)
        del tried.__wrapped__  # type: ignore[attr-defined]
        asked = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        tried.__signature__ = inspect.Signature([asked, *fixtures])  # type: ignore[attr-defined]
        return tried

    return over
