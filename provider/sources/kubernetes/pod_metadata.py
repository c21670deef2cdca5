"""The list of pods' metadata, in Kubernetes' protobuf where that is spoken, decoded straight into records.

Nine tenths of such a list are `managedFields`, which nobody here reads. In JSON the API server must write them and we
must look at each character; in protobuf both pass over them as they are (docs/performance.md has the figures). The
list is unpacked and parsed a few pods at a time, so that it is never whole in memory: it has 7 MB for 1,000 pods, and
the library keeps what a schema does not name for as long as there is the message around it.

The schema names only the fields that we judge. Their numbers are those of `generated.proto` in k8s.io/apimachinery,
`pkg/runtime` and `pkg/apis/meta/v1`; numbers never change, and a test compares them.
"""

import zlib
from collections.abc import Iterator
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

from provider.model import records
from provider.sources.kubernetes import shapes

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
"""So much is unpacked and parsed at a time."""

_SHIFTS, _MORE = range(0, 64, 7), 0x80
"""A size has seven of its bits in each byte, the lowest first, and says in each whether more follow."""

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
    "PartialObjectMetadataList": {"metadata": (1, "ListMeta"), "items": (2, ["PartialObjectMetadata"])},
}
"""What we read of the messages that are parsed."""

UNKNOWN = {"typeMeta": 1, "raw": 2}
"""The numbers of the fields of the message around a list, which the API server writes in this order."""


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
    type_meta = stream.read(min(_size(stream, UNKNOWN["typeMeta"]), CHUNK_BYTES))
    if _MESSAGES["TypeMeta"].FromString(type_meta).kind != LIST_KIND:
        raise DecodeError(f"no {LIST_KIND}")
    token, pods = "", list[records.Pod]()
    for part in map(_MESSAGES[LIST_KIND].FromString, _parts(stream, _size(stream, UNKNOWN["raw"]))):
        token = getattr(part.metadata, "continue") or token
        pods += (_pod(item.metadata) for item in part.items)
    stream.read()  # to its end, for gzip's check sum
    return token, tuple(pods)


def _size(stream: BufferedIOBase, number: int) -> int:
    """Read the number of a field and its size, and return the size (protobuf.dev, Encoding)."""
    if stream.read(1) != bytes([number << 3 | 2]):
        raise DecodeError(f"field {number} was to be next")
    size = 0
    for shift in _SHIFTS:
        (byte,) = stream.read(1) or b"\0"
        size |= (byte & 0x7F) << shift
        if not byte & _MORE:
            break
    return size


def _parts(stream: BufferedIOBase, left: int) -> Iterator[bytes]:
    """Yield a message of so many bytes in parts that end where a field ends: each is a message like the whole."""
    begun = b""
    while left > 0:
        part = begun + stream.read(min(left, CHUNK_BYTES))
        if len(part) == len(begun):
            raise DecodeError("cut off")
        left -= len(part) - len(begun)
        end = _end_of_fields(part)
        yield part[:end]
        begun = part[end:]
    if begun:
        raise DecodeError("cut off")


def _end_of_fields(part: bytes) -> int:
    """Return where the last whole field ends, of fields that say their size and have numbers of one byte."""
    end = following = 0
    while following <= len(part):
        end, size = following, 0
        for at, shift in enumerate(_SHIFTS, end + 1):
            byte = part[at] if at < len(part) else 0
            size |= (byte & 0x7F) << shift
            if not byte & _MORE:
                break
        following = at + 1 + size
    return end


def _pod(metadata: Any) -> records.Pod:
    name, uid, created = metadata.name, metadata.uid, metadata.creationTimestamp.seconds
    if not (name and uid and 0 < created < _END_OF_TIME):  # a time that is absent is one of 0 seconds
        raise msgspec.ValidationError(f"{name or 'a pod'} has no name, no uid or no usable time of creation")
    owner = ""
    for one in metadata.ownerReferences:
        if one.controller:
            owner = one.uid
            break
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
