"""The ways in which a command prints an answer: for people, or as JSON or YAML."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
import yaml

Show = Callable[[Any, str], str]
"""Prints an answer about a Rollout of this name."""

OUTPUT = click.Option(
    ["--output", "-o"],
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)


def _json(found: Mapping[str, Any], name: str) -> str:  # noqa: ARG001 - as every output
    return json.dumps(found, indent=1, sort_keys=True)


def _yaml(found: Mapping[str, Any], name: str) -> str:  # noqa: ARG001 - as every output
    return yaml.safe_dump(found, sort_keys=True).rstrip()


def shown_as(output: str, for_people: Show) -> Show:
    """Return how to print an answer; `for_people` is the table."""
    return {"table": for_people, "json": _json, "yaml": _yaml}[output]
