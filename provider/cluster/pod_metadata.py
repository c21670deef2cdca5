"""The list of pods' metadata, in Kubernetes' protobuf where that is spoken, decoded straight into records.

Nine tenths of such a list are `managedFields`, which nobody here reads. In JSON the API server must write them and we
must look at each character; in protobuf both pass over them as they are (docs/performance.md has the figures). The
list is unpacked and parsed pod by pod, so that it is never whole in memory: it has 7 MB for 1,000 pods, and the
library keeps what a schema does not name for as long as there is the message around it.

The schema names only the fields that we judge. Their numbers are those of `generated.proto` in k8s.io/apimachinery,
`pkg/runtime` and `pkg/apis/meta/v1`; numbers never change, and a test compares them.
"""

import zlib
from datetime import UTC, datetime
from io import BufferedIOBase, BufferedReader, BytesIO, RawIOBase
from sys import intern
from typing import Any

import msgspec
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from provider.cluster import shapes
from provider.evidence import records

LIST_KIND = "PartialObjectMetadataList"

_FORM = f"as={LIST_KIND};v=v1;g=meta.k8s.io"

ACCEPT = f"application/vnd.kubernetes.protobuf;{_FORM},application/json;{_FORM},application/json"
"""What is asked for: what client-go's metadata client asks for; a proxy that speaks no protobuf answers in JSON."""

MAGIC = b"k8s\x00"
"""What protobuf of the API server begins with (k8s.io/apimachinery, `pkg/runtime/serializer/protobuf`)."""

GZIP = b"\x1f\x8b"
_WITH_HEADER = 16
"""zlib's own way to say that it is gzip."""

CHUNK_BYTES = 2**16

MOST_BYTES = 2**24
"""Ten times what etcd stores of one object."""

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""After it adding minutes to a time, or a zone, leaves the calendar of Python."""

STRING, BYTES, INT64, BOOL = Field.TYPE_STRING, Field.TYPE_BYTES, Field.TYPE_INT64, Field.TYPE_BOOL

Schema = dict[str, dict[str, tuple[int, Any]]]
"""The number and the type of each field, by message; a list is a repeated field, a text another message."""

SCHEMA: Schema = {
    "TypeMeta": {"apiVersion": (1, STRING), "kind": (2, STRING)},
    "Time": {"seconds": (1, INT64)},
    "OwnerReference": {"uid": (4, STRING), "controller": (6, BOOL)},
    "ObjectMeta": {
        "name": (1, STRING),
        "uid": (5, STRING),
        "creationTimestamp": (8, "Time"),
        "deletionTimestamp": (9, "Time"),
        "ownerReferences": (13, ["OwnerReference"]),
    },
    "ListMeta": {"continue": (3, STRING)},
    "PartialObjectMetadata": {"metadata": (1, "ObjectMeta")},
}
"""What we read of the messages that are parsed."""

UNKNOWN = {"typeMeta": 1, "raw": 2}
LIST = {"metadata": 1, "items": 2}
"""The numbers in the message around a list, and in the list, which the API server writes in this order."""


def page(body: bytes) -> tuple[str, tuple[records.Pod, ...]]:
    """Return the token of the next page, empty at the last, and the pods of this one.

    `body` may be packed by gzip. Raises msgspec.DecodeError if it is no whole list of metadata, or if a pod lacks its
    name, uid or time of creation.
    """
    stream: BufferedIOBase = BufferedReader(_Unpacked(body), CHUNK_BYTES) if body.startswith(GZIP) else BytesIO(body)
    try:
        begins = stream.read(len(MAGIC))
        if begins == MAGIC:
            return _protobuf(stream)
        listed = _JSON.decode(begins + stream.read())
    except (DecodeError, zlib.error) as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error
    return listed.metadata.continue_token, tuple(item.record() for item in listed.items or ())


_JSON = msgspec.json.Decoder(shapes.Page[shapes.PodMetadata])


class _Unpacked(RawIOBase):
    """What gzip packed, as a stream; Python's own GzipFile takes twice as long."""

    def __init__(self, packed: bytes) -> None:
        self._left, self._unpacking = packed, zlib.decompressobj(zlib.MAX_WBITS | _WITH_HEADER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, with nothing at the end. Raises zlib.error for what ends before or was not packed so."""
        found = self._unpacking.decompress(self._left, len(buffer))
        self._left = self._unpacking.unconsumed_tail
        if not found and not self._unpacking.eof:
            raise zlib.error("cut off")
        buffer[: len(found)] = found
        return len(found)


def _protobuf(stream: BufferedIOBase) -> tuple[str, tuple[records.Pod, ...]]:
    kind, _ = _message(stream, UNKNOWN["typeMeta"], "TypeMeta")
    if kind.kind != LIST_KIND:
        raise DecodeError(f"no {LIST_KIND}")
    left, _ = _size(stream, UNKNOWN["raw"])
    metadata, size = _message(stream, LIST["metadata"], "ListMeta")
    left -= size
    pods = []
    while left > 0:
        item, size = _message(stream, LIST["items"], "PartialObjectMetadata")
        pods.append(_pod(item.metadata))
        left -= size
    if left < 0:
        raise DecodeError("the list has another size than it says")
    stream.read()  # to its end, for gzip's check sum
    return getattr(metadata, "continue"), tuple(pods)


def _message(stream: BufferedIOBase, number: int, name: str) -> tuple[Any, int]:
    """Read a field that is a message, and its size in all. Raises DecodeError if another field comes next."""
    size, before = _size(stream, number)
    body = stream.read(size) if size <= MOST_BYTES else b""
    if len(body) != size:
        raise DecodeError("cut off")
    return _MESSAGES[name].FromString(body), before + size


def _size(stream: BufferedIOBase, number: int) -> tuple[int, int]:
    """Read a field's number and its size, and return the size and how many bytes were read (protobuf.dev, Encoding)."""
    if stream.read(1) != bytes([number << 3 | 2]):
        raise DecodeError(f"field {number} was to be next")
    size = 0
    for place in range(10):
        (byte,) = stream.read(1) or b"\x80"
        size |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:  # another one follows
            return size, place + 2
    raise DecodeError("a size without an end")


def _pod(metadata: Any) -> records.Pod:
    name, uid, created = metadata.name, metadata.uid, metadata.creationTimestamp.seconds
    if not (name and uid and 0 < created < _END_OF_TIME):  # a time that is absent is one of 0 seconds
        raise msgspec.ValidationError(f"{name or 'a pod'} has no name, no uid or no usable time of creation")
    owner = next((one.uid for one in metadata.ownerReferences if one.controller), "")
    # The same text is in EndpointSlices and in a thousand pods: one of each is kept in memory.
    created_at = datetime.fromtimestamp(created, UTC)
    return records.Pod(name, intern(uid), intern(owner), created_at, metadata.HasField("deletionTimestamp"))


def message_classes(schema: Schema) -> dict[str, Any]:
    """Return a class for each message of a schema."""
    file = FileDescriptorProto(name="kubernetes.proto", package="kubernetes", syntax="proto2")
    for message, fields in schema.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            of = kind[0] if isinstance(kind, list) else kind
            added = described.field.add(name=name, number=number)
            added.label = Field.LABEL_OPTIONAL if of is kind else Field.LABEL_REPEATED
            added.type = Field.TYPE_MESSAGE if isinstance(of, str) else of
            if isinstance(of, str):
                added.type_name = f".kubernetes.{of}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"kubernetes.{name}")) for name in schema}


_MESSAGES = message_classes(SCHEMA)
