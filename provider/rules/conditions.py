"""Argo's conditions: does one compile?

A parser of expr-lang's grammar. What it does not know it says nothing about: what is found is certain for expr 1.15
(Argo Rollouts 1.9) and 1.17 (1.10). Sources: expr-lang.org, language definition; argo-rollouts
utils/evaluate/evaluate.go.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
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


def mistake(condition: str) -> str:
    """Return why a condition does not compile, in words; empty if nothing certain was found."""
    try:
        Parser(condition).parse()
    except BadCondition as error:
        return str(error)
    except (Unknown, RecursionError):
        return ""
    return ""


@dataclass
class Parser:
    """Makes a tree of a condition: tuples of a kind and its parts."""

    text: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0
    names: list[str] = field(default_factory=lambda: ["result"])
    closures: int = 0

    def parse(self) -> Any:
        """Return the tree. Raises BadCondition, and Unknown for what this parser does not know."""
        code = re.sub(r"\"[^\"]*\"|'[^']*'|`[^`]*`", "", self.text)
        if re.search(r"/\*|//|\bif\b|::", code):  # a comment, or what only some versions have
            raise Unknown
        for token in _TOKEN.finditer(self.text):
            if token["wrong"]:
                raise BadCondition(f"it has {token['wrong']} where nothing can be")
            self.tokens.append((str(token.lastgroup), token[0].strip()))
        if not self.tokens:
            raise BadCondition("it is empty")
        tree = self._sequence()
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

    def _sequence(self) -> Any:
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
            return ("let", name, value, self._sequence())
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
            inner = self._sequence()
            self._expect(")", "(")
            return inner
        if text == "[":
            return ("list", self._several("]", "[", partial(self._expression, 0)))
        if text == "{":
            self._several("}", "{", self._pair)
            return ("unknown",)
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

    def _several(self, end: str, opened: str, parse_item: Callable[[], Any]) -> list[Any]:
        """Parse what stands between commas, up to the closing sign."""
        items = []
        while not self._take(end):
            if self._is_over():
                raise BadCondition(f"its {opened} is not closed")
            items.append(parse_item())
            if self._peek() != end and not self._take(","):
                wrong = f"{self._peek() or 'a text'} stands where , or {end} must"
                raise BadCondition(f"its {opened} is not closed" if self._is_over() else wrong)
        return items

    def _arguments(self) -> Any:
        self.at += 1
        self.closures += 1
        arguments = self._several(")", "(", self._argument)
        self.closures -= 1
        return arguments

    def _argument(self) -> Any:
        if not self._take("{"):
            return self._expression(0)
        self._sequence()
        self._expect("}", "{")
        return ("unknown",)

    def _pair(self) -> None:
        self.at += 1
        if not self._take(":"):
            raise Unknown
        self._expression(0)

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
        key = None if self._peek() == ":" else self._expression(0)
        is_slice = self._take(":")
        if is_slice and self._peek() != "]":
            self._expression(0)
        self._expect("]", "[")
        return ("unknown",) if is_slice else ("member", node, key, False)


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
    return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), text[1:-1])
