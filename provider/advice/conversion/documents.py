"""YAML documents that keep their comments, their order and their style (ruamel.yaml)."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from provider.model.printable import printable

WIDTH = 4096
"""No line is ever folded: a folded URL would not be the one that was written."""


class NotYaml(Exception):
    """The input is not YAML; the text says where."""


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def load(text: str) -> list[CommentedMap]:
    """Return each document of a stream. Raises NotYaml."""
    try:
        found = list(_yaml().load_all(text))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(f"it is not YAML (line {mark.line + 1})" if mark else "it is not YAML") from error
    if not all(isinstance(one, CommentedMap | None) for one in found):
        raise NotYaml("a document is not a Kubernetes object")
    return [one for one in found if one is not None]


def dump(documents: Iterable[Any]) -> str:
    """Return a stream of the documents."""
    written = []
    for one in documents:
        text = io.StringIO()
        _yaml().dump(one, text)
        written.append(text.getvalue().strip("\n"))
    return "\n---\n".join(written) + "\n"


def mapping(fields: Mapping[str, Any], **comments: str) -> CommentedMap:
    """Return a mapping with a comment at the end of some of its lines."""
    made = CommentedMap(fields)
    for name, comment in comments.items():
        made.yaml_add_eol_comment(comment, name)
    return made


def commented(one: CommentedMap, key: str, comment: str) -> None:
    """Put a comment at the end of a line, in place of none; a comment that was there stays in front of it."""
    comment = printable(comment)
    before = one.ca.items.get(key)
    said = before[2].value.strip().lstrip("# ") if before and before[2] is not None else ""
    if before:
        before[2] = None
    one.yaml_add_eol_comment(f"{said} ({comment})" if said else comment, key)
