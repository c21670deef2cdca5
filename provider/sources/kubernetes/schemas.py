"""The fields that Kubernetes and the custom resources know, and their types: what the API server would refuse.

`schemas.json` has names and types only, taken from the CRDs of Argo Rollouts (argoproj/argo-rollouts 9f8d111) and of
the AWS Load Balancer Controller (225f445), and from the package kubernetes-validate (tests/write_schemas.py).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("schemas.json")

FieldPath = tuple[str | int, ...]
"""Where a field is in an object: keys and indexes."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "intOrString": (int, str),
}
_WORDS = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
          "intOrString": "a whole number or a text"}  # fmt: skip

_NAMED = {
    "fields": {
        "apiVersion": "string",
        "kind": "string",
        "metadata": {"ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
    },
    "open": True,
}
"""Of a kind whose fields are not known: only its metadata is checked."""


@dataclass(frozen=True, slots=True)
class SchemaError:
    """A field that is not as the API has it; `is_unknown` is a field that the API does not have at all."""

    path: FieldPath
    message: str
    is_unknown: bool = False


def checked(manifest: Mapping[str, Any]) -> tuple[dict[str, Any], list[SchemaError]]:
    """Return an object without the values that have another type than the API's, and what is wrong with it.

    So whoever reads the object further finds each field in its type, or absent. A null is an absent value, as in the
    API. Objects of unknown kinds are only checked as far as their metadata.
    """
    kinds, definitions = _schemas()
    version, kind = str(manifest.get("apiVersion", "")), manifest.get("kind")
    errors: list[SchemaError] = []
    node = kinds.get(f"{version}/{kind}") or kinds.get(_nearest(str(kind), version.rpartition("/")[0]), _NAMED)
    result = _checked(manifest, node, (), definitions, errors)
    return (result if isinstance(result, dict) else {}), errors


def _nearest(kind: str, group: str) -> str:
    """Return the known version of a kind for one that is not known: of its group, if it names one that still is."""
    known = [key for key in _schemas()[0] if key.rpartition("/")[2] == kind]
    near = [key for key in known if group in {"", "extensions", key.rpartition("/")[0].rpartition("/")[0]}]
    return near[-1] if near else ""


@cache
def known_versions(kind: str) -> list[str]:
    """Return the API versions in which a kind is known; empty for one of which nothing is known."""
    return sorted(key.rpartition("/")[0] for key in _schemas()[0] if key.rpartition("/")[2] == kind)


def dotted(path: FieldPath) -> str:
    """Return a path as people write it: spec.metrics[0].name."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@cache
def _schemas() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    schemas = json.loads(PATH.read_text(encoding="utf-8"))
    return schemas["kinds"], schemas["definitions"]


class _Wrong(Exception):
    """A value of another type."""


def _checked(value: Any, node: Any, path: FieldPath, definitions: Mapping[str, Any], errors: list[SchemaError]) -> Any:
    """Return a value without what is wrong below it. Raises _Wrong if it has another type itself."""
    while isinstance(node, Mapping) and "ref" in node:
        node = definitions[node["ref"]]
    if node == "any":
        return _without_nulls(value)
    if isinstance(node, str):
        return _scalar(value, node)
    if "list" in node:
        if not isinstance(value, list):
            raise _Wrong("a list")
        items = ((number, item, node["list"]) for number, item in enumerate(value))
        return [item for _, item in _children(items, path, definitions, errors)]
    if not isinstance(value, Mapping):
        raise _Wrong("an object")
    children = [
        (str(key), item, node["map"] if "map" in node else node["fields"].get(key, "any"))
        for key, item in value.items()
    ]
    if "fields" in node and not node.get("open"):
        errors += [
            SchemaError((*path, key), f"there is no field {dotted((*path, key))}", is_unknown=True)
            for key, _, _ in children
            if key not in node["fields"]
        ]
        errors += [
            SchemaError((*path, key), f"the field {dotted((*path, key))} is required")
            for key in node.get("required", ())
            if value.get(key) is None
        ]
    return dict(_children(iter(children), path, definitions, errors))


def _children(
    children: Iterator[tuple[str | int, Any, Any]],
    path: FieldPath,
    definitions: Mapping[str, Any],
    errors: list[SchemaError],
) -> Iterator[tuple[Any, Any]]:
    for key, item, node in children:
        if item is None:
            continue
        try:
            yield key, _checked(item, node, (*path, key), definitions, errors)
        except _Wrong as wrong:
            where = dotted((*path, key))
            errors.append(SchemaError((*path, key), f"{where} must be {wrong}, and is {_shown(item)}"))


def _scalar(value: Any, kind: str) -> Any:
    if kind in {"integer", "intOrString"} and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise _Wrong(_WORDS[kind])
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, default=str)
    return f"the text {text[:60]}" if isinstance(value, str) else text[:60]
