"""Argo's conditions: does one compile, and can it be true on what the provider answers?

A parser of expr-lang's grammar, and an evaluator of what conditions use. Where either does not know, nothing is said:
what is found is certain for expr 1.15 (Argo Rollouts 1.9) and 1.17 (1.10). Sources: expr-lang.org,
language definition; argo-rollouts utils/evaluate/evaluate.go.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
          |(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*|\#[A-Za-z0-9_]*)
      | (?P<sign>\?\?|\?\.|\.\.|\*\*|==|!=|<=|>=|&&|\|\||::|[-+*/%<>!?:.,|^;()\[\]{}=])
      | (?P<wrong>\S)
    )""",
    re.VERBOSE,
)
_BINARY = {
    "|": 1, "??": 5, "||": 10, "or": 10, "&&": 15, "and": 15, "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20, "not": 20, "..": 25, "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60, "**": 100, "^": 100,
}  # fmt: skip
_AFTER_NOT = {"in", "matches", "contains", "startsWith", "endsWith"}
_CONSTANTS = {"true": True, "false": False, "nil": None}
_FUNCTIONS = re.compile(r"[a-z][A-Za-z0-9]*")
"""How functions of the language and of Argo are named: which there are differs by version."""


class BadCondition(Exception):
    """The condition does not compile; the text says why."""


class Unknown(Exception):
    """Nobody knows what this gives."""


class EvaluationError(Exception):
    """The measurement would be an Error; the text says why."""


def mistake(condition: str) -> str:
    """Return why a condition does not compile, in words; empty if nothing certain was found."""
    try:
        _Parser(condition).parse()
    except BadCondition as error:
        return str(error)
    except (Unknown, RecursionError):
        return ""
    return ""


def outcome(condition: str, result: Any) -> bool | None:
    """Return what a condition gives for a result; None if that is not known. Raises EvaluationError."""
    try:
        value = _value(_Parser(condition).parse(), {"result": result})
    except (BadCondition, Unknown, RecursionError):
        return None
    if not isinstance(value, bool):
        raise EvaluationError("it gives no true or false")
    return value


@dataclass
class _Parser:
    text: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0
    names: list[str] = field(default_factory=lambda: ["result"])
    closures: int = 0

    def parse(self) -> Any:
        """Return the tree. Raises BadCondition, and Unknown for what this parser does not know."""
        if (
            re.search(r"/\*|//|#\s|\bif\b|::", re.sub(r"\"[^\"]*\"|'[^']*'|`[^`]*`", "", self.text))
            and "if" in self.text
        ):
            raise Unknown
        for token in _TOKEN.finditer(self.text):
            if token["wrong"]:
                raise BadCondition(f"it has {token['wrong']} where nothing can be")
            self.tokens.append((str(token.lastgroup), token[0].strip()))
        if not self.tokens:
            raise BadCondition("it is empty")
        tree = self._sequence("")
        if self.at < len(self.tokens):
            text = self._peek()
            if text == "=":
                raise BadCondition("it has a single = where == is meant")
            raise BadCondition(
                f"it has a {text} that nothing opens" if text in ")]}" else f"{text} stands where an operator must"
            )
        return tree

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) and self.tokens[self.at][0] != "text" else ""

    def _is_over(self) -> bool:
        return self.at >= len(self.tokens)

    def _take(self, text: str) -> bool:
        if self._peek() == text:
            self.at += 1
            return True
        return False

    def _expect(self, text: str, opened: str) -> None:
        if not self._take(text):
            raise BadCondition(
                f"its {opened} is not closed"
                if self._is_over()
                else f"{self._peek() or 'a text'} stands where {text} must"
            )

    def _sequence(self, end: str) -> Any:
        """Parse variables and the expression after them."""
        if self._take("let"):
            kind, name = self.tokens[self.at] if not self._is_over() else ("", "")
            self.at += 1
            if kind != "name" or not self._take("="):
                raise BadCondition("its let has no name and value")
            value = self._expression(0)
            if not self._take(";"):
                raise BadCondition("nothing ends its let: a ; must")
            self.names.append(name)
            return ("let", name, value, self._sequence(end))
        first = self._expression(0)
        if self._take(";"):  # expr 1.17 takes several expressions
            raise Unknown
        return first

    def _expression(self, least: int) -> Any:
        left = self._unary()
        while not self._is_over():
            name = self._peek()
            precedence = _BINARY.get(name)
            if precedence is None or precedence < least:
                break
            self.at += 1
            negated = name == "not"
            if negated:
                name = self._peek()
                if name not in _AFTER_NOT:
                    raise BadCondition("not stands where an operator must")
                self.at += 1
            if name == "|":
                self._piped()
                left = ("unknown",)
                continue
            right = self._expression(precedence if name in {"**", "^"} else precedence + 1)
            left = ("binary", name, left, right)
            left = ("unary", "!", left) if negated else left
        if least == 0 and self._take("?"):
            then = self._expression(0)
            if not self._take(":"):
                raise BadCondition("its ? has no :")
            left = ("choice", left, then, self._expression(0))
        return left

    def _piped(self) -> None:
        if self._is_over() or self.tokens[self.at][0] != "name":
            raise BadCondition("no function follows its |")
        self.at += 1
        if self._peek() == "(":
            self._arguments()
        self._postfix(("unknown",))

    def _unary(self) -> Any:
        for sign in ("not", "!", "-", "+"):
            if self._take(sign):
                precedence = {"not": 50, "!": 50}.get(sign, 90)
                return ("unary", "!" if sign == "not" else sign, self._expression(precedence))
        return self._postfix(self._primary())

    def _primary(self) -> Any:
        if self._is_over():
            raise BadCondition("it ends where a value must follow")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return ("constant", _number(text))
        if kind == "text":
            return ("constant", _unquoted(text))
        if kind == "name":
            return self._named(text)
        if text == "(":
            inner = self._sequence(")")
            self._expect(")", "(")
            return inner
        if text == "[":
            return ("list", self._items("]", "["))
        if text == "{":
            return self._map()
        if text == "." and self.closures and not self._is_over() and self.tokens[self.at][0] == "name":
            self.at += 1
            return ("unknown",)
        raise BadCondition(f"{text} stands where a value must")

    def _named(self, name: str) -> Any:
        if name in _CONSTANTS:
            return ("constant", _CONSTANTS[name])
        if name in _BINARY or name in {"let", "if", "else"}:
            raise BadCondition(f"{name} stands where a value must")
        if self._peek() == "(" and name not in self.names:
            return ("call", name, self._arguments())
        if name.startswith(("#", "$")):
            if name.startswith("#") and not self.closures:
                raise BadCondition(f"{name} stands outside of a predicate")
            return ("unknown",)
        if name not in self.names:
            raise BadCondition(f"nothing is named {name}")
        return ("name", name)

    def _arguments(self) -> Any:
        self.at += 1
        arguments = []
        self.closures += 1
        while not self._take(")"):
            if self._is_over():
                raise BadCondition("its ( is not closed")
            if self._take("{"):
                self._sequence("}")
                self._expect("}", "{")
                arguments.append(("unknown",))
            else:
                arguments.append(self._expression(0))
            if self._peek() != ")" and not self._take(","):
                raise BadCondition(
                    "its ( is not closed" if self._is_over() else f"{self._peek() or 'a text'} stands where , or ) must"
                )
        self.closures -= 1
        return arguments

    def _items(self, end: str, opened: str) -> list[Any]:
        items = []
        while not self._take(end):
            if self._is_over():
                raise BadCondition(f"its {opened} is not closed")
            items.append(self._expression(0))
            if self._peek() != end and not self._take(","):
                raise BadCondition(
                    f"its {opened} is not closed"
                    if self._is_over()
                    else f"{self._peek() or 'a text'} stands where , must"
                )
        return items

    def _map(self) -> Any:
        while not self._take("}"):
            if self._is_over():
                raise BadCondition("its { is not closed")
            self.at += 1
            if not self._take(":"):
                raise Unknown
            self._expression(0)
            if self._peek() != "}" and not self._take(","):
                raise BadCondition("its { is not closed")
        return ("unknown",)

    def _postfix(self, node: Any) -> Any:
        while not self._is_over():
            if self._take("(") or self._peek() == "=":
                if self._peek() == "=":
                    raise BadCondition("it has a single = where == is meant")
                self.at -= 1
                self._arguments()
                node = ("unknown",)
            elif self._take("?."):
                node = self._member(node, is_optional=True)
            elif self._take("."):
                node = self._member(node, is_optional=False)
            elif self._take("["):
                node = self._index(node)
            elif self.tokens[self.at][0] in {"text", "number"} or (
                self.tokens[self.at][0] == "name" and self._peek() not in {*_BINARY, "else"}
            ):
                raise BadCondition(f"no operator is in front of {self.tokens[self.at][1]}")
            else:
                break
        return node

    def _member(self, node: Any, *, is_optional: bool) -> Any:
        if self._take("["):
            return self._index(node)
        if self._is_over() or self.tokens[self.at][0] != "name":
            raise BadCondition("no name follows its .")
        name = self.tokens[self.at][1]
        self.at += 1
        if self._peek() == "(":
            self._arguments()
            return ("unknown",)
        return ("member", node, ("constant", name), is_optional)

    def _index(self, node: Any) -> Any:
        if self._take(":"):
            if not self._take("]"):
                self._expression(0)
                self._expect("]", "[")
            return ("unknown",)
        key = self._expression(0)
        if self._take(":"):
            if not self._take("]"):
                self._expression(0)
                self._expect("]", "[")
            return ("unknown",)
        self._expect("]", "[")
        return ("member", node, key, False)


def _number(text: str) -> Any:
    plain = text.replace("_", "")
    try:
        return (
            int(plain, 0)
            if re.fullmatch(r"0[xXbBoO].*|\d+", plain) and not re.fullmatch(r"0\d+", plain)
            else float(plain)
        )
    except ValueError as error:
        raise BadCondition(f"{text} is not a number") from error


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1])


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
        found = value.get(key)
        if found is Unknown:
            raise Unknown
        return found
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
