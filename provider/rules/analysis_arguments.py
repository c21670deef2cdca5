"""The arguments of an analysis, as Argo merges and inserts them.

Source: Argo Rollouts 1.10.1, utils/analysis/factory.go (what a Rollout passes), utils/analysis/helpers.go (how
templates' arguments are merged), utils/template/template.go (how they are inserted), analysis/analysis.go (Secrets).
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from provider.model.analysis import Argument, Object, Problem, ProblemKind

PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PREFIX = "args."
_LARGEST = 10**300
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


def passed_by(rollout: Object, arguments: Iterable[object]) -> tuple[dict[str, Argument], list[Problem]]:
    """Return the arguments that a Rollout passes, and what is wrong with them."""
    passed: dict[str, Argument] = {}
    problems: list[Problem] = []
    for given in arguments:
        argument = mapping(given)
        name, source = str(argument.get("name", "")), mapping(argument.get("valueFrom"))
        path = mapping(source.get("fieldRef")).get("fieldPath")
        if source.get("podTemplateHashValue") is not None:
            passed[name] = _pod_hash(rollout, name, str(source["podTemplateHashValue"]))
        elif path is not None:
            value, problem = field_of(rollout, str(path))
            problems += [Problem(f"argument {name}: {problem}", ProblemKind.ARGUMENT)] if problem else []
            passed[name] = Argument(name, value, f"field {path} of the Rollout")
        else:
            passed[name] = Argument(name, text_of(argument.get("value", "")))
    return passed, problems


def _pod_hash(rollout: Object, name: str, which: str) -> Argument:
    field = {"Latest": "currentPodHash", "Stable": "stableRS"}.get(which)
    value = mapping(rollout.get("status")).get(field) if field else ""
    return Argument(name, None if value is None else str(value), f"the {which.lower()} pod template hash")


def merged(
    passed: Mapping[str, Argument], declared: Iterable[tuple[str, Object]]
) -> tuple[tuple[Argument, ...], list[Problem]]:
    """Merge what a Rollout passes with what its templates declare; `declared` has each template's name.

    A Secret of a template beats a passed value. A passed argument that no template declares is dropped.
    """
    combined: dict[str, Object] = {}
    problems: list[Problem] = []
    for template, argument in declared:
        name = str(argument.get("name", ""))
        before = combined.get(name)
        if before is None or before.get("value") is None:
            combined[name] = argument
        elif argument.get("value") is not None and argument["value"] != before["value"]:
            says = f"templates give argument {name} different values, the last in {template}"
            problems.append(Problem(says, ProblemKind.DEFAULTS))
    arguments = [_merged(name, argument, passed.get(name)) for name, argument in combined.items()]
    problems += [
        Problem(f"argument {argument.name} has no value")
        for argument in arguments
        if argument.value is None and not argument.source
    ]
    return tuple(arguments), problems


def _merged(name: str, declared: Object, passed: Argument | None) -> Argument:
    secret = mapping(mapping(declared.get("valueFrom")).get("secretKeyRef"))
    if secret:
        return Argument(name, None, f"key {secret.get('key')} of Secret {secret.get('name')}")
    if passed is not None:
        return passed
    value = declared.get("value")
    return Argument(name, None if value is None else text_of(value))


def field_of(rollout: Object, path: str) -> tuple[str | None, str]:
    """Return a field of a Rollout as Argo writes it, and what is wrong with the path.

    The value is None if the Rollout does not have the field (yet): a manifest has no status.
    """
    if subscript := _SUBSCRIPT.fullmatch(path):
        return str(mapping(mapping(rollout.get("metadata")).get(subscript[1])).get(subscript[2], "")), ""
    if path.startswith("metadata") and path not in {"metadata.name", "metadata.namespace", "metadata.uid"}:
        return None, f"Argo reads no fieldPath {path}"
    node: Any = rollout
    for section in filter(None, re.split(r"[.\[\]]+", path)):
        if isinstance(node, list) and section.isdigit() and int(section) < len(node):
            node = node[int(section)]
        elif isinstance(node, Mapping):
            node = node.get(section)
        else:
            return None, "" if node is None else f"the Rollout has no field {path}"
    if isinstance(node, list | Mapping):
        return None, f"field {path} of the Rollout is not a single value"
    return None if node is None else text_of(node), ""


def inserted(node: Any, values: Mapping[str, Argument]) -> Any:
    """Return a JSON value with known arguments inserted; others stay as they are written."""
    if isinstance(node, str):
        return PLACEHOLDER.sub(lambda place: _inserted(place, values), node)
    if isinstance(node, list):
        return [inserted(item, values) for item in node]
    if isinstance(node, Mapping):
        return {inserted(str(key), values): inserted(item, values) for key, item in node.items()}
    return node


def _inserted(place: re.Match[str], values: Mapping[str, Argument]) -> str:
    argument = values.get(name_in(place[1]))
    return place[0] if argument is None or argument.value is None else argument.value


def placeholders(node: Any) -> list[str]:
    """Return what stands between the braces in a JSON value, without repetitions."""
    if isinstance(node, str):
        return list(dict.fromkeys(text.strip() for text in PLACEHOLDER.findall(node)))
    items = node if isinstance(node, list) else [*node, *node.values()] if isinstance(node, Mapping) else ()
    return list(dict.fromkeys(text for item in items for text in placeholders(item)))


def name_in(placeholder: str) -> str:
    """Return the argument's name in the text between braces; empty if it names no argument."""
    text = placeholder.strip()
    return text.removeprefix(_PREFIX) if text.startswith(_PREFIX) else ""


def mapping(node: object) -> Object:
    """Return a JSON object; anything else is an empty one."""
    return node if isinstance(node, Mapping) else {}


def text_of(value: object) -> str:
    """Return a value as Go prints it: a number of a Rollout's field from a million on gets an exponent."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        return str(value)
    number = Decimal(repr(float(value))).normalize()
    sign, digits, exponent = number.as_tuple()
    point = len(digits) + int(exponent) - 1
    if -4 <= point < 6:  # strconv.FormatFloat with the shortest precision
        return f"{number:f}"
    mantissa = f"{digits[0]}" + (f".{''.join(map(str, digits[1:]))}" if digits[1:] else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if point < 0 else '+'}{abs(point):02d}"
