"""Pods' metadata in protobuf: the same records as from JSON, and nothing of a body that is not whole."""

import gzip
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.sources.kubernetes import pod_metadata, shapes
from provider.sources.kubernetes.pod_metadata import BOOL, BYTES, INT64, LIST_KIND, MAGIC, SCHEMA, STRING
from tests import ROOT
from tests.world.cluster.protobuf import WRITTEN, partial_item, partial_list

TYPES = {BOOL: "bool", BYTES: "bytes", INT64: "int64", STRING: "string"}

WHOLE = ("ObjectMeta", "OwnerReference", "ManagedFieldsEntry")
"""What the embedded API server can write whatever an object has of it."""

SAME_ON_THE_WIRE = {("Unknown", "raw"): "bytes", (LIST_KIND, "items"): "PartialObjectMetadata"}

moments = st.integers(1, int(datetime(9998, 12, 31, tzinfo=UTC).timestamp())).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat()
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
owners = st.fixed_dictionaries({"kind": texts, "name": texts, "uid": texts, "controller": st.booleans()})
managed = st.fixed_dictionaries({"manager": texts, "time": moments, "fieldsV1": st.dictionaries(texts, texts)})
metadatas = st.fixed_dictionaries(
    {"name": texts.filter(bool), "uid": texts.filter(bool), "creationTimestamp": moments},
    optional={
        "namespace": texts,
        "labels": st.dictionaries(texts, texts, max_size=3),
        "deletionTimestamp": moments,
        "ownerReferences": st.lists(owners, max_size=3),
        "managedFields": st.lists(managed, max_size=2),
    },
)


def listed(*metadata: dict[str, Any], token: str = "") -> bytes:
    return partial_list({"resourceVersion": "7", "continue": token}, map(partial_item, metadata))


POD = {"name": "web-1", "uid": "u1", "creationTimestamp": "2026-11-29T12:00:00Z"}


@given(st.lists(metadatas, max_size=4), texts)
def test_the_same_records_as_from_json(metadata, token):
    """Whatever pods there are, protobuf and JSON lead to the same records and the same next page."""
    body = json.dumps({"metadata": {"continue": token}, "items": [{"metadata": one} for one in metadata]})
    page = msgspec.json.decode(body, type=shapes.Page[shapes.PodMetadata])

    found = pod_metadata.page(listed(*metadata, token=token))

    assert found == (page.metadata.continue_token, tuple(item.record() for item in page.items or ()))


@given(st.lists(metadatas, min_size=1, max_size=2), st.booleans(), st.data())
def test_a_list_that_was_cut_off_is_refused(metadata, packed, data):
    """No part of a list passes for the whole, packed or not: a shorter list would look like pods that are gone."""
    body = gzip.compress(listed(*metadata)) if packed else listed(*metadata)
    assert len(pod_metadata.page(body)[1]) == len(metadata)

    with pytest.raises(msgspec.DecodeError):
        pod_metadata.page(body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_of_many_parts_is_read_whole(packed):
    """However large the list and each pod's metadata are, each pod is there, in the order of the list."""
    pods = [POD | {"uid": f"u{number}", "labels": {"x": "y" * (number * 37 % 100_003)}} for number in range(200)]
    body = listed(*pods, token="next")

    token, found = pod_metadata.page(gzip.compress(body) if packed else body)

    assert token == "next"
    assert [one.uid for one in found] == [one["uid"] for one in pods]


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(noise):
    """What is no list of metadata is refused in a way that the reader names, whatever it is."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        pod_metadata.page(MAGIC + noise)


@pytest.mark.parametrize(
    "lacking",
    [
        {"name": ""},
        {"uid": None},
        {"creationTimestamp": None},
        {"creationTimestamp": "1970-01-01T00:00:00Z"},
        {"creationTimestamp": "9999-12-31T23:59:59Z"},
    ],
    ids=str,
)
def test_a_pod_without_what_identifies_it_is_refused(lacking):
    """A pod needs a name, a uid, and a time of creation that can be calculated with; so it is in JSON."""
    with pytest.raises(msgspec.ValidationError):
        pod_metadata.page(listed(POD | lacking))


def test_a_list_of_another_kind_is_refused():
    """Protobuf does not name its fields, so the kind must be right."""
    assert len(pod_metadata.page(listed(POD))[1]) == 1

    with pytest.raises(msgspec.DecodeError):
        pod_metadata.page(listed(POD).replace(LIST_KIND.encode(), b"AnotherObjectMetadataList"))


def test_a_size_beyond_all_bounds_is_refused():
    """A body cannot make the provider reserve memory for what it only announces."""
    sizes = (b"\xff" * 8 + b"\x7f", b"\xff" * 100_000)
    for body in (MAGIC + begin + size for begin in (b"\x0a", b"\x0a\0\x12") for size in sizes):
        for packed in (body, gzip.compress(body)):
            with pytest.raises(msgspec.DecodeError):
                pod_metadata.page(packed)


@pytest.mark.long
def test_numbers_and_types_are_those_of_kubernetes():
    """Every field that is read, or that the embedded API server writes, is what `generated.proto` says it is."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not on PATH, so Kubernetes' own schema cannot be read.")
    command = [go, "mod", "download", "-json", "k8s.io/apimachinery@v0.34.4"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100)
    folder = Path(json.loads(done.stdout)["Dir"]) / "pkg"

    for message, fields in (*WRITTEN.items(), *SCHEMA.items()):
        where = "runtime" if message in ("Unknown", "TypeMeta") else "apis/meta/v1"
        theirs = fields_of(message, (folder / where / "generated.proto").read_text(encoding="utf-8"))
        if fields is WRITTEN.get(message) and message in WHOLE:
            assert fields.keys() == theirs.keys()
        for name, (number, kind) in fields.items():
            of = kind[0] if isinstance(kind, list) else kind
            said = "map<string, string>" if of == "Entry" else TYPES.get(of, of)
            said = SAME_ON_THE_WIRE.get((message, name), said)
            repeated = "repeated " if kind is not of and of != "Entry" else ""
            assert theirs[name] == (f"{repeated}{said}", number), (message, name)


def fields_of(message: str, schema: str) -> dict[str, tuple[str, int]]:
    """Return the types and numbers of a message's fields; a map's entries are numbered by protobuf itself."""
    if message == "Entry":
        return {"key": ("string", 1), "value": ("string", 2)}
    (body,) = re.findall(rf"^message {message} {{\n(.*?)^}}", schema, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^  (?:optional )?(.+) (\w+) = (\d+);", body, re.MULTILINE)
    return {name: (kind, int(number)) for kind, name, number in lines}
