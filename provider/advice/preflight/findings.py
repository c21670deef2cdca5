"""What a finding is, and how a rule declares one.

A rule is a pure function of a Setup under `@rule`, which gives its code, severity and what to do; its docstring is what
the code means. Nothing else knows a code; docs/preflight.md is made from the rules. A code is never renamed: people
filter by it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from inspect import getdoc
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from provider import DOCUMENTATION
from provider.model.lengths import cut
from provider.sources.kubernetes.schemas import FieldPath

if TYPE_CHECKING:
    from provider.advice.preflight.setup import Setup


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    BLOCKS = "blocks"
    """Argo, Kubernetes, the load balancer controller or the provider refuses it, or it can never pass."""

    RISK = "risk"
    """It works, and users may get 5xx, or the gate can be walked around."""

    ADVICE = "advice"
    """It works; a change would make it better."""

    @property
    def rank(self) -> int:
        """Its number, 0 for the worst."""
        return list(Severity).index(self)


BLOCKS, RISK, ADVICE = Severity


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule found: a sentence without a full stop, and the objects concerned (kind/name), the first one's field.

    A hit that is not certain is a risk where its code blocks.
    """

    says: str
    objects: tuple[str, ...]
    path: FieldPath = ()
    is_certain: bool = True


Hits = Iterator[Hit]


@dataclass(frozen=True, slots=True)
class Rule:
    """A code with its documentation, and the function that finds it."""

    code: str
    severity: Severity
    meaning: str
    todo: str
    find: Callable[["Setup"], Iterable[Hit]]

    @property
    def more(self) -> str:
        """Where it is documented."""
        return f"{DOCUMENTATION}/preflight.md#{self.code.lower()}"


RuleFunction = TypeVar("RuleFunction", bound=Callable[..., Hits])

RULES: dict[str, Rule] = {}
"""By code, in the order in which the modules of rules are loaded."""


def rule(
    code: str, severity: Severity, todo: str, each: Literal["metrics", "queries"] | None = None
) -> Callable[[RuleFunction], RuleFunction]:
    """Register a function as the rule that finds a code: of a Setup, or of each MetricPlace in one of its lists."""

    def register(find: RuleFunction) -> RuleFunction:
        def find_each(setup: "Setup") -> Hits:
            for place in getattr(setup, each or ""):
                yield from find(place)

        meaning = " ".join((getdoc(find) or "").split())
        RULES[code] = Rule(code, severity, meaning, todo, find_each if each else find)
        return find

    return register


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is in the files, from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit with its code, severity and place; `place` is None for an object that was read from a cluster."""

    code: str
    severity: Severity
    objects: tuple[str, ...]
    says: str
    field: str = ""
    place: Place | None = None

    @property
    def todo(self) -> str:
        """What to change."""
        return RULES[self.code].todo

    @property
    def more(self) -> str:
        """Where the code is documented."""
        return RULES[self.code].more

    @property
    def observed(self) -> dict[str, Any]:
        """The finding as JSON and YAML show it."""
        shown = {"code": self.code, "severity": self.severity.value, "objects": list(self.objects)}
        shown |= {"says": cut(self.says), "todo": cut(self.todo), "more": self.more}
        shown |= {"field": self.field} if self.field else {}
        return shown | ({"place": asdict(self.place)} if self.place else {})


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about one Rollout, the worst first, and what was ignored with the reason that was given."""

    setup: "Setup"
    findings: tuple[Finding, ...]
    ignored: Mapping[Finding, str]

    def has(self, severity: Severity) -> bool:
        """Tell whether something is at least as bad."""
        return any(finding.severity.rank <= severity.rank for finding in self.findings)
