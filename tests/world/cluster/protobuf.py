"""Objects' metadata as the API server's protobuf has it, managedFields and all."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from provider.sources.kubernetes.pod_metadata import (
    BOOL,
    BYTES,
    INT64,
    LIST_KIND,
    MAGIC,
    SCHEMA,
    STRING,
    UNKNOWN,
    Schema,
    message_classes,
)

WRITTEN: Schema = {  # bytes and a message are the same on the wire: each item is encoded once
    **SCHEMA,
    "Unknown": {"typeMeta": (UNKNOWN["typeMeta"], "TypeMeta"), "raw": (UNKNOWN["raw"], LIST_KIND)},
    LIST_KIND: {"metadata": (1, "ListMeta"), "items": (2, [BYTES])},
    "Entry": {"key": (1, STRING), "value": (2, STRING)},
    "FieldsV1": {"Raw": (1, BYTES)},
    "ManagedFieldsEntry": {
        "manager": (1, STRING),
        "operation": (2, STRING),
        "apiVersion": (3, STRING),
        "time": (4, "Time"),
        "fieldsType": (6, STRING),
        "fieldsV1": (7, "FieldsV1"),
        "subresource": (8, STRING),
    },
    "OwnerReference": SCHEMA["OwnerReference"]
    | {"kind": (1, STRING), "name": (3, STRING), "apiVersion": (5, STRING), "blockOwnerDeletion": (7, BOOL)},
    "ObjectMeta": SCHEMA["ObjectMeta"]
    | {
        "generateName": (2, STRING),
        "namespace": (3, STRING),
        "selfLink": (4, STRING),
        "resourceVersion": (6, STRING),
        "generation": (7, INT64),
        "deletionGracePeriodSeconds": (10, INT64),
        "labels": (11, ["Entry"]),
        "annotations": (12, ["Entry"]),
        "finalizers": (14, [STRING]),
        "managedFields": (17, ["ManagedFieldsEntry"]),
    },
    "ListMeta": SCHEMA["ListMeta"] | {"resourceVersion": (2, STRING), "remainingItemCount": (4, INT64)},
}
_MESSAGES = message_classes(WRITTEN)


def partial_list(metadata: Mapping[str, Any], items: Iterable[bytes]) -> bytes:
    """Return a PartialObjectMetadataList of encoded items."""
    page = _MESSAGES[LIST_KIND](items=items, metadata=_message("ListMeta", metadata))
    kind = {"apiVersion": "meta.k8s.io/v1", "kind": LIST_KIND}
    return MAGIC + bytes(_MESSAGES["Unknown"](typeMeta=kind, raw=page).SerializeToString())


def partial_item(metadata: Mapping[str, Any]) -> bytes:
    """Return an object's metadata as a PartialObjectMetadata."""
    whole = _MESSAGES["PartialObjectMetadata"](metadata=_message("ObjectMeta", metadata))
    return bytes(whole.SerializeToString())


def _message(name: str, fields: Mapping[str, Any]) -> Any:
    known = WRITTEN[name]
    return _MESSAGES[name](**{key: _value(known[key][1], value) for key, value in fields.items() if value is not None})


def _value(kind: Any, value: Any) -> Any:
    match kind:
        case ["Entry"]:
            return [_MESSAGES["Entry"](key=key, value=text) for key, text in value.items()]
        case [of]:
            return [_value(of, one) for one in value]
        case "Time":
            return _MESSAGES["Time"](seconds=int(datetime.fromisoformat(value).timestamp()))
        case "FieldsV1":
            return _MESSAGES["FieldsV1"](Raw=json.dumps(value, separators=(",", ":")).encode())
        case str():
            return _message(kind, value)
        case _:
            return value
