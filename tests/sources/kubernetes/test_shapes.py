"""Whatever is in an object, its record is small, and none of its names is taken for another's."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from provider.model import lengths
from provider.sources.kubernetes import shapes
from tests.world.cluster import objects

LONG = "é" + "x" * 100_000
MANY = 3000
MOST_BYTES = 20_000

NOW = datetime(2026, 11, 24, tzinfo=UTC)
RUN = {"name": "web-1-pre", "status": "Running", "message": "waits"}
ROLLOUT = objects.rollout(
    "web",
    current_hash="abc",
    stable_hash="def",
    strategy={"blueGreen": {"activeService": "web-active", "previewService": "web-preview"}},
    status={
        "message": "is paused",
        "pauseConditions": [{"reason": "BlueGreenPause"}],
        "conditions": [{"type": "InvalidSpec", "status": "True", "message": "is not valid"}],
        "blueGreen": {"prePromotionAnalysisRunStatus": RUN},
        "workloadObservedGeneration": "7",
    },
)
ROLLOUT["metadata"]["annotations"] = {"rollout.argoproj.io/workload-generation": "7", "note": "of somebody"}
CANARY = objects.rollout(
    "web",
    current_hash="abc",
    stable_hash="def",
    strategy={
        "canary": {
            "canaryService": "web-canary",
            "stableService": "web-stable",
            "pingPong": {"pingService": "web-ping", "pongService": "web-pong"},
            "steps": [{"setWeight": 10}],
        }
    },
    status={"canary": {"stablePingPong": "ping", "currentStepAnalysisRunStatus": RUN}},
)
REPLICA_SET = objects.replica_set(ROLLOUT, "abc", replicas=1) | {}
REPLICA_SET["metadata"]["creationTimestamp"] = objects.timestamp(NOW)
POD = objects.pod(REPLICA_SET, "web-abc-1", ip="10.0.0.1", created_at=NOW)
POD["spec"]["readinessGates"] = [{"conditionType": "target-health.elbv2.k8s.aws/web"}]
POD["status"]["containerStatuses"] = [
    {"name": "app", "ready": False, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
]
SERVICE = objects.service("web-preview", selector={"app": "web"}, selector_written_at=NOW)
RUN_OBJECT = objects.analysis_run(
    "web-1-pre", metric="gate", phase="Running", counts={"successful": 1}, value='[100, "Successful"]'
)
RUN_OBJECT["status"]["metricResults"][0]["measurements"][0]["message"] = "was told"
OBJECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Rollout": (shapes.Rollout, ROLLOUT),
    "canary Rollout": (shapes.Rollout, CANARY),
    "ReplicaSet": (shapes.ReplicaSet, REPLICA_SET),
    "Service": (shapes.Service, SERVICE),
    "pod's metadata": (shapes.PodMetadata, POD),
    "whole pod": (shapes.Pod, POD),
    "AnalysisRun": (shapes.AnalysisRun, RUN_OBJECT),
    "Rollout's state": (shapes.RolloutState, ROLLOUT),
    "canary's state": (shapes.RolloutState, CANARY),
    "version": (shapes.Version, REPLICA_SET),
    "EndpointSlice": (shapes.EndpointSlice, objects.endpoint_slices(SERVICE, [POD])[0]),
    "TargetGroupBinding": (
        shapes.TargetGroupBinding,
        objects.target_group_binding(
            "web",
            service="web-preview",
            port="http",
            arn="arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/web/73e2d6bc24d8a067",
            target_group_name="web",
            iamRoleArnToAssume="arn:aws:iam::000000000000:role/reader",
            assumeRoleExternalId="shop",
        ),
    ),
    "Node": (shapes.Node, objects.node("ip-10-0-1-10", instance_id="i-0abc")),
}

Path = tuple[str | int, ...]


def parts(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every part of an object, by where it is."""
    yield at, value
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from parts(part, (*at, key))


def changed(manifest: dict[str, Any], at: Path, change: Any) -> dict[str, Any]:
    """The object with one part replaced by what `change` makes of it."""
    copy = deepcopy(manifest)
    holder: Any = copy
    for key in at[:-1]:
        holder = holder[key]
    holder[at[-1]] = change(holder[at[-1]])
    return copy


def hostile(manifest: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The object with each of its texts, and each key of its maps, very long, and each of its lists and maps too."""
    for at, part in parts(manifest):
        if isinstance(part, str):
            yield at, changed(manifest, at, lambda _: LONG)
        elif isinstance(part, list):
            yield at, changed(manifest, at, lambda part: part * MANY)
        elif isinstance(part, dict) and at and at[-1] in {"labels", "annotations", "selector", "matchLabels"}:
            yield at, changed(manifest, at, lambda part: {**part, LONG: "x"})
            yield at, changed(manifest, at, lambda part: {**part, **{f"key-{n}": "x" * 60 for n in range(MANY)}})


@pytest.mark.parametrize("kind", OBJECTS)
def test_the_record_of_an_object_is_small_or_refused(kind, tried):
    """With any of its texts or lists as long as somebody likes, an object is refused, or its record is small."""
    shape, manifest = OBJECTS[kind]
    decode = shapes.decoder(shape).decode
    usual = len(repr(decode(json.dumps(manifest)).record()))
    sizes: dict[Path, int] = {}
    for at, other in hostile(manifest):
        try:
            sizes[at] = len(repr(decode(json.dumps(other)).record())) - usual
        except msgspec.ValidationError:
            sizes[at] = 0
    tried("objects with a long part", len(sizes))

    assert {at: size for at, size in sizes.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize(
    ("kind", "at", "read"),
    [
        (
            "Rollout",
            ("spec", "strategy", "blueGreen", "previewService"),
            lambda record: record.strategy.preview_service,
        ),
        ("Rollout", ("status", "currentPodHash"), lambda record: record.current_hash),
        ("TargetGroupBinding", ("spec", "serviceRef", "name"), lambda record: record.service),
        ("TargetGroupBinding", ("spec", "serviceRef", "port"), lambda record: record.port),
        ("TargetGroupBinding", ("spec", "targetGroupARN"), lambda record: record.arn),
        ("TargetGroupBinding", ("spec", "iamRoleArnToAssume"), lambda record: record.role_arn),
        ("TargetGroupBinding", ("spec", "assumeRoleExternalId"), lambda record: record.external_id),
    ],
)
def test_a_name_that_is_too_long_is_no_other_name(kind, at, read):
    """Names that differ only after 10,000 letters stay different, from every shorter one too; the same stay equal."""
    shape, manifest = OBJECTS[kind]

    def name(text: str) -> str:
        return str(read(shapes.decoder(shape).decode(json.dumps(changed(manifest, at, lambda _: text))).record()))

    long = "a" * 10_000
    texts = [long + "b", long + "c", long, *("a" * length for length in (1, 63, 253, 254, 2048))]

    assert len({name(text) for text in texts}) == len(texts)
    assert name(long + "b") == name(long + "b")
    assert name("a" * 253) == "a" * 253


def test_a_message_is_cut_at_2_kib_of_whole_characters():
    """A message keeps 2 KiB in UTF-8 and says by three dots that there was more; one that fits is as it was."""
    fits = "ö" * 1024

    assert lengths.cut(fits) == fits
    assert lengths.cut(fits + "x") == "ö" * 1022 + "..."
    assert len(lengths.cut("x" * 100_000)) == 2048
