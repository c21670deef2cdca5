"""The floor: the very requests of our own way, in the same stages, the same bytes decoded, and nothing else.

No records are made and nothing is judged. Kubernetes is read by urllib3 and decoded by msgspec, target health by
ElementTree inside botocore's own event, the small answers of AWS by botocore.
"""

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl

import boto3
import msgspec
import urllib3
import yaml
from botocore import xform_name
from botocore.config import Config

from tests.bench.stand_in import Call
from tests.bench.subjects import Subject

_LONGEST = 32


@dataclass(frozen=True)
class Step:
    """One request: `target` and what is accepted of a GET to Kubernetes, or the form `body` of a POST to ELBv2."""

    target: str
    accept: str = ""
    accept_encoding: str = ""
    body: str = ""


@dataclass(frozen=True)
class Stage:
    """Requests that are sent together, once the requests of these places (in the order of sending) are answered."""

    waits_for: list[int]
    steps: list[Step]


def stages(calls: Iterable[Call]) -> list[Stage]:
    """Sort one question's calls into what was sent together: what comes after an answer belongs to a later stage."""
    found: list[Stage] = []
    sent: list[Call] = []
    first_answer = 0.0
    for call in sorted(calls, key=lambda one: one.arrived):
        if not found or call.arrived >= first_answer:
            found.append(Stage([place for place, one in enumerate(sent) if one.answered <= call.arrived], []))
            first_answer = call.answered
        found[-1].steps.append(Step(call.target, call.accept, call.accept_encoding, call.body))
        sent.append(call)
        first_answer = min(first_answer, call.answered)
    return found


def write_plan(plan: list[Stage]) -> str:
    """Return a plan as text for another process."""
    return json.dumps([asdict(stage) for stage in plan])


def read_plan(text: str) -> list[Stage]:
    """Return the plan of a text."""
    return [Stage(one["waits_for"], [Step(**step) for step in one["steps"]]) for one in json.loads(text)]


class _Shape(msgspec.Struct, rename="camel"):
    """What is decoded; everything else is skipped."""


class _Owner(_Shape):
    uid: str
    controller: bool = False


class _Metadata(_Shape):
    name: str = ""
    uid: str = ""
    owner_references: list[_Owner] | None = None
    creation_timestamp: str = ""
    deletion_timestamp: str = ""


class _Ref(_Shape):
    uid: str
    kind: str


class _Conditions(_Shape):
    ready: bool | None = None


class _Endpoint(_Shape):
    addresses: list[str]
    conditions: _Conditions
    target_ref: _Ref | None = None


class _Object(_Shape):
    metadata: _Metadata
    endpoints: list[_Endpoint] | None = None


class _List(_Shape):
    items: list[_Object] | None


_LISTED, _SINGLE = msgspec.json.Decoder(_List), msgspec.json.Decoder(_Object)
_IS_LIST = re.compile(r"/namespaces/[^/]+/[^/?]+(\?|$)")


class Floor:
    """Replays stages with kept connections and kept threads."""

    def __init__(self, plan: list[Stage]) -> None:
        with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:  # noqa: PTH123 - one line to find the address
            (cluster,) = yaml.safe_load(file)["clusters"]
        self._pool = urllib3.connection_from_url(cluster["cluster"]["server"], maxsize=_LONGEST)
        config = Config(max_pool_connections=_LONGEST, retries={"mode": "standard", "total_max_attempts": 2})
        self._elbv2: Any = boto3.client("elbv2", region_name=os.environ["AWS_REGION"], config=config)
        event = "before-parse.elastic-load-balancing-v2.DescribeTargetHealth"
        self._elbv2.meta.events.register(event, _parse_targets)
        self._threads = ThreadPoolExecutor(_LONGEST)
        self._plan = plan

    def ask(self, subject: Subject) -> None:  # noqa: ARG002 - the plan knows whom it asks about
        """Fetch and decode everything, each stage as soon as what it waits for is there."""
        reads: list[Future[object]] = []
        for stage in self._plan:
            wait([reads[place] for place in stage.waits_for])
            reads.extend(self._threads.submit(self._read, step) for step in stage.steps)
        for read in reads:
            read.result()

    def _read(self, step: Step) -> object:
        if step.body:
            return self._call(dict(parse_qsl(step.body)))
        headers = {"Accept": step.accept, "Accept-Encoding": step.accept_encoding}
        answer = self._pool.request("GET", step.target, headers=headers)
        if answer.status != 200:  # an API that is not served
            return None
        return (_LISTED if _IS_LIST.search(step.target) else _SINGLE).decode(answer.data)

    def _call(self, form: dict[str, str]) -> object:
        operation = xform_name(form.pop("Action"))
        form.pop("Version")
        return getattr(self._elbv2, operation)(**_arguments(form))


def _arguments(form: dict[str, str]) -> dict[str, Any]:
    """Return what boto3 made this form of."""
    arguments: dict[str, Any] = {}
    for name, value in form.items():
        key, _, member = name.partition(".member.")
        number, _, part = member.partition(".")
        if not member:
            arguments[key] = int(value) if key == "PageSize" else value
        elif part:
            entries: list[dict[str, Any]] = arguments.setdefault(key, [])
            if len(entries) < int(number):
                entries.append({})
            entries[int(number) - 1][part] = int(value) if part == "Port" else value
        else:
            arguments.setdefault(key, []).append(value)
    return arguments


def _parse_targets(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Let ElementTree read the one large answer, and botocore an empty one."""
    customized_response_dict["tree"] = ET.fromstring(response_dict["body"])
    response_dict["body"] = b"<R><DescribeTargetHealthResult/></R>"
