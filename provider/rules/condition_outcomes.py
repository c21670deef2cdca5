"""What a condition gives for a result, as far as that is certain.

An evaluator of what conditions use, on the trees of `conditions`.
"""

import re
from collections.abc import Mapping
from typing import Any

from provider.rules.conditions import BadCondition, Parser, Unknown


class EvaluationError(Exception):
    """The measurement would be an Error; the text says why."""


def outcome(condition: str, result: Any) -> bool | None:
    """Return what a condition gives for a result; None if that is not known. Raises EvaluationError."""
    try:
        value = _value(Parser(condition).parse(), {"result": result})
    except (BadCondition, Unknown, RecursionError):
        return None
    if not isinstance(value, bool):
        raise EvaluationError("it gives no true or false")
    return value


def _value(node: Any, names: Mapping[str, Any]) -> Any:  # noqa: C901 - a table of the grammar
    """Return what a tree gives. Raises EvaluationError, and Unknown."""
    match node:
        case ("constant", value):
            return value
        case ("name", name):
            if names[name] is Unknown:
                raise Unknown
            return names[name]
        case ("let", name, value, body):
            return _value(body, {**names, name: _value(value, names)})
        case ("list", items):
            return [_value(item, names) for item in items]
        case ("choice", condition, then, otherwise):
            return _value(then if _truth(_value(condition, names)) else otherwise, names)
        case ("member", inner, key, is_optional):
            return _member_of(_value(inner, names), _value(key, names), is_optional=is_optional)
        case ("unary", "!", inner):
            return not _truth(_value(inner, names))
        case ("unary", sign, inner):
            number = _value(inner, names)
            if not _is_number(number):
                raise EvaluationError(f"{sign} needs a number")
            return -number if sign == "-" else number
        case ("binary", name, left, right):
            return _binary(name, left, right, names)
        case ("call", name, arguments):
            return _call(name, [_value(argument, names) for argument in arguments])
    raise Unknown


def _member_of(value: Any, key: Any, *, is_optional: bool) -> Any:
    if value is Unknown:
        raise Unknown
    if isinstance(value, Mapping) and isinstance(key, str):
        member = value.get(key)
        if member is Unknown:
            raise Unknown
        return member
    if isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
        if not -len(value) <= key < len(value):
            raise EvaluationError(f"the list has no element {key}")
        if value[key] is Unknown:
            raise Unknown
        return value[key]
    if value is None and is_optional:
        return None
    kind = {list: "a list", str: "a text", dict: "an object", type(None): "nil"}.get(type(value), "a number")
    raise EvaluationError(f"it asks {kind} for {key}")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise EvaluationError("it takes something else for true or false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _binary(  # noqa: C901 - a table of the operators
    name: str, left_node: Any, right_node: Any, names: Mapping[str, Any]
) -> Any:
    left = _value(left_node, names)
    if name in {"&&", "and"}:
        return _truth(left) and _truth(_value(right_node, names))
    if name in {"||", "or"}:
        return _truth(left) or _truth(_value(right_node, names))
    if name == "??":
        return _value(right_node, names) if left is None else left
    right = _value(right_node, names)
    if name in {"==", "!="}:
        is_same = left == right and isinstance(left, bool) == isinstance(right, bool)
        return is_same == (name == "==")
    if name == "in":
        if isinstance(right, list | Mapping):
            if isinstance(right, list) and Unknown in right:
                raise Unknown
            return left in right
        raise EvaluationError("in needs a list")
    if name in {"matches", "contains", "startsWith", "endsWith"}:
        return _of_texts(name, left, right)
    both_texts = isinstance(left, str) and isinstance(right, str)
    if name in {"<", ">", "<=", ">="}:
        if both_texts or (_is_number(left) and _is_number(right)):
            return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[name]
        raise EvaluationError(f"{name} compares values of different types")
    if name in {"+", "-", "*", "/"} and _is_number(left) and _is_number(right) and (name != "/" or right):
        return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[name]
    raise Unknown


def _of_texts(name: str, left: Any, right: Any) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        raise EvaluationError(f"{name} needs two texts")
    if name == "matches":
        try:
            return re.search(right, left) is not None
        except re.error:
            raise Unknown from None
    return {"contains": right in left, "startsWith": left.startswith(right), "endsWith": left.endswith(right)}[name]


def _call(name: str, arguments: list[Any]) -> Any:
    match name, arguments:
        case "len", [list() | str() | dict() as value]:
            return len(value)
        case "lower" | "upper" | "trim", [str() as text]:
            return {"lower": text.lower(), "upper": text.upper(), "trim": text.strip()}[name]
        case "isNaN" | "isInf", [int() | float()]:
            return False
    raise Unknown
