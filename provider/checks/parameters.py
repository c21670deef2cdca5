"""The parameters of a query: their declaration, those that every endpoint has, and their parsing.

What is known of a parameter stands where it is declared. Floors, preflight, the command line, OpenAPI and the
documentation read it there.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provider.checks.strictness import Strictness, Unordered
from provider.model import lengths
from provider.model.errors import BadQuery, Problem
from provider.model.records import Stage


def Parameter(  # noqa: N802 - declares as pydantic's Field does
    default: Any = ..., *, description: str, stricter: Strictness | Unordered | None = None, **rest: Any
) -> Any:
    """Declare a parameter: pydantic's Field, and what makes it `stricter`; None if it cannot loosen a pass.

    A text needs `examples` with a value that it accepts, unless it has a default or choices.
    """
    field = Field(default, description=description, **rest)
    if stricter is not None:
        field.metadata.append(stricter)
    return field


def accepted_text(field: FieldInfo) -> str:
    """Return a text that the parameter accepts: its example, its first choice, its default, or its minimum."""
    if field.examples:
        return str(field.examples[0])
    choices = _choices(field.annotation)
    if choices:
        return str(choices[0])
    if field.default not in {None, PydanticUndefined}:
        return str(field.default)
    return str(next((data.ge for data in field.metadata if hasattr(data, "ge")), 1))


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a Literal, which may be one member of a union; empty if there is no Literal."""
    kinds = (annotation, *get_args(annotation))
    return next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())


_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_SCIENTIFIC = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?[eE]\+?[0-9]{1,2}")
_LABEL_VALUE = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"


class _Parameters(BaseModel):
    """Parameters, camelCase on the wire. Unknown, malformed and empty ones are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_tools_write_it(cls, value: object, field: ValidationInfo) -> object:
        """Strip a value and its list items, and read 1e+06, as Helm and Argo write it, as a whole number.

        An empty value is refused: Argo sends one for an argument that it cannot resolve.
        """
        if isinstance(value, str):
            value = ",".join(item.strip() for item in value.split(","))
        if value is None or value == "":
            raise ValueError("must not be empty")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError("must be a text or a number")  # noqa: TRY004 - pydantic collects only ValueError
        is_whole = cls.model_fields[str(field.field_name)].annotation in {int, int | None}
        if is_whole and isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else value
        return value


class Namespace(_Parameters):
    """Which Rollouts a list is about."""

    namespace: str | None = Parameter(
        default=None,
        pattern=_DNS_LABEL,
        max_length=lengths.LABEL,
        examples=["shop"],
        description="Namespace of the Rollouts. Default: every namespace that the client may query.",
    )


class Subject(_Parameters):
    """Which Rollout a request is about."""

    namespace: str = Parameter(
        pattern=_DNS_LABEL, max_length=lengths.LABEL, examples=["shop"], description="Namespace of the Rollout."
    )
    rollout: str = Parameter(
        pattern=_DNS_SUBDOMAIN, max_length=lengths.NAME, examples=["web"], description="Name of the Rollout."
    )


class Query(Subject):
    """The parameters of every query."""

    pod_template_hash: str | None = Parameter(
        default=None,
        pattern=_LABEL_VALUE,
        max_length=lengths.LABEL,
        examples=["6d9f7c5b8"],
        description="The hash the caller means by green (podTemplateHashValue: Latest). "
        "If it is not the current green, the answer is Inconclusive/Superseded. Left out: whichever is green now.",
    )
    service: str | None = Parameter(
        default=None,
        pattern=_DNS_LABEL,
        max_length=lengths.LABEL,
        examples=["web-preview"],
        description="One of the Rollout's own strategy Services, instead of the one chosen by strategy and stage.",
    )
    stage: Literal["beforeSwitch", "afterSwitch"] | None = Parameter(
        default=None,
        description="Answer only about this stage: about the other one the answer is Inconclusive (NotSwitched, "
        "AlreadySwitched). Default: whichever stage it is.",
    )

    @property
    def asked_stage(self) -> Stage | None:
        """The only stage that the query is about; None for either."""
        return Stage(self.stage[:1].upper() + self.stage[1:]) if self.stage else None


_Parsed = TypeVar("_Parsed", bound=_Parameters)


def parse_as(model: type[_Parsed], endpoint: str, fields: Iterable[tuple[str, object]]) -> _Parsed:
    """Parse wire names and values into the parameters of an endpoint. Raises BadQuery naming each one at fault."""
    pairs = list(fields)
    names = [name for name, _ in pairs]
    problems = [
        Problem(name[:100], "is given more than once") for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    try:
        query = model.model_validate(dict(pairs))
    except ValidationError as error:
        raise BadQuery((*problems, *(_problem(model, endpoint, details) for details in error.errors()))) from error
    if problems:
        raise BadQuery(tuple(problems))
    return query


def _problem(model: type[_Parameters], endpoint: str, error: Any) -> Problem:
    """Put pydantic's error into a sentence that begins with the parameter's name."""
    # An error without a location is about the names themselves: a name is not valid Unicode.
    name = str((*error["loc"], "body")[0])[:100]
    limits, given = error.get("ctx", {}), str(error["input"])
    got = f" (got {given})" if len(given) < lengths.TOKEN else ""
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(sorted(str(field.alias) for field in model.model_fields.values()))
            return Problem(name, f"is not a parameter of {endpoint}. Its parameters: {known}")
        case "missing":
            return Problem(name, "is required")
        case "value_error":
            return Problem(name, str(limits["error"]))
        case "string_pattern_mismatch":
            return Problem(name, f"must be {_FORMS.get(limits['pattern'], 'like ' + limits['pattern'])}{got}")
        case kind if kind in _SENTENCES:
            return Problem(name, _SENTENCES[kind].format(**limits).replace("'", "") + got)
        case _:
            return Problem(name, f"is malformed: {error['msg']}")


_SENTENCES = {
    "greater_than_equal": "must be at least {ge:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
    "greater_than": "must be more than {gt:.12g}",
    "multiple_of": "must be a multiple of {multiple_of:.12g}",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "literal_error": "must be {expected}",
    "string_type": "must be a text",
    "string_too_long": "must have at most {max_length} characters",
}
_FORMS = {
    _DNS_LABEL: "a name of lower-case letters, digits and '-', with a letter or digit at both ends",
    _DNS_SUBDOMAIN: "a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    _LABEL_VALUE: "of letters, digits, '-', '_' and '.', with a letter or digit at both ends",
}
