"""Whether a condition can compile: the mistakes that people make, not a compiler of expr-lang.

What this finds does not compile in Argo (expr-lang 1.17); what it does not find may still not.
"""

import re

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_$#][A-Za-z0-9_]*)
      | (?P<operator>==|!=|<=|>=|&&|\|\||\?\?|\?\.|\*\*|\.\.|[-+*/%<>!?:.,|^])
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<wrong>\S)
    )""",
    re.VERBOSE,
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_INFIX_WORDS = {"and", "or", "in", "not", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}


def mistake(condition: str) -> str:
    """Return why a condition does not compile, in words; empty if nothing was found."""
    opened: list[str] = []
    before = ""
    for token in _TOKEN.finditer(condition):
        kind, text = str(token.lastgroup), token[0].strip()
        if kind == "wrong":
            return "it has a single = where == is meant" if text == "=" else f"it has {text} where nothing can be"
        if kind == "open":
            opened.append(text)
        if kind == "close" and (not opened or opened.pop() != _PAIRS[text]):
            return f"it has a {text} that nothing opens"
        is_word = kind == "name" and text in _INFIX_WORDS
        is_value = kind in {"text", "number", "name"} and not is_word
        if is_value and before == "value":
            return f"nothing is between {text} and what is before it"
        before = "value" if is_value or kind == "close" else kind
    if opened:
        return f"its {opened[-1]} is not closed"
    if before == "operator":
        return "it ends with an operator"
    return "" if condition.strip() else "it is empty"
