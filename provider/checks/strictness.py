"""What makes a parameter stricter, so that it can have a floor: a least strict value that every query must keep."""

from dataclasses import dataclass
from math import isfinite, nan

from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class _Number:
    is_more_strict: bool

    @property
    def words(self) -> str:
        return "must be at least" if self.is_more_strict else "must be at most"

    def parse(self, text: str) -> float:
        number = float(text) if text[:1].isdigit() else nan
        if not isfinite(number):
            raise ValueError("is not a number")
        return number

    def holds(self, given: float | None, floor: float) -> bool:
        if given is None:  # no limit at all
            return False
        return given >= floor if self.is_more_strict else given <= floor


HIGHER, LOWER = _Number(is_more_strict=True), _Number(is_more_strict=False)
"""The higher, or the lower, the stricter; None means no limit."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The parameter's values from loose to strict."""

    choices: tuple[str, ...]
    words: str = "must be no looser than"

    def parse(self, text: str) -> str:
        """Return the floor. Raises ValueError."""
        if text not in self.choices:
            raise ValueError(f"is not one of {', '.join(self.choices)}")
        return text

    def holds(self, given: str, floor: str) -> bool:
        """Compare places in the order."""
        return self.choices.index(given) >= self.choices.index(floor)


@dataclass(frozen=True, slots=True)
class Including:
    """A list of names: the more, the stricter. `default` is what None stands for."""

    names: tuple[str, ...]
    default: tuple[str, ...]
    words: str = "must include"

    def parse(self, text: str) -> tuple[str, ...]:
        """Return the floor. Raises ValueError."""
        floor = tuple(text.split(","))
        unknown = [name for name in floor if name not in self.names]
        if unknown:
            raise ValueError(f"names {unknown[0]}, which is not a check")
        return floor

    def holds(self, given: str | None, floor: tuple[str, ...]) -> bool:
        """Tell whether every name of the floor is given."""
        return set(floor) <= set(self.default if given is None else given.split(","))


@dataclass(frozen=True, slots=True)
class Unordered:
    """The parameter can loosen a pass, but its values have no order, so it cannot have a floor."""


DECIDES = Unordered()


Strictness = _Number | Ordered | Including
"""In which direction a parameter makes a pass harder, so that it can have a minimum (a floor).

`words` stand between the parameter and its floor in a sentence; `parse` returns a floor, or raises ValueError with a
clause that follows the parameter's name; `holds` tells whether a parameter is at least as strict as its floor.
"""


def strictness_of(field: FieldInfo) -> Strictness | Unordered | None:
    """Return what makes a parameter stricter."""
    return next((data for data in field.metadata if isinstance(data, Strictness | Unordered)), None)
