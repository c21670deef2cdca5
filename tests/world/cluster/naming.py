"""Names, uids and times in the form of Kubernetes and Argo Rollouts. Equal input gives equal names."""

from __future__ import annotations

import uuid
import zlib
from datetime import UTC, datetime
from typing import Any

HASH_LABEL = "rollouts-pod-template-hash"

_SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def timestamp(moment: datetime | None = None) -> str:
    """Return a time as Kubernetes writes it, in whole seconds of UTC; without an argument, now."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def safe_letters(text: str, length: int) -> str:
    """Return letters and digits as Kubernetes generates for names, always the same for the same text."""
    number = int.from_bytes(uuid.uuid5(uuid.NAMESPACE_OID, text).bytes)
    return "".join(_SAFE_LETTERS[number // 27**place % 27] for place in range(length))


def pod_template_hash(template: str) -> str:
    """Return a pod template hash in the shape Argo Rollouts gives it, for any text."""
    return "".join(_SAFE_LETTERS[ord(digit) % 27] for digit in str(zlib.crc32(template.encode())))


def deterministic_uid(*parts: str) -> str:
    """Return the uid that the builders give to the object of this kind, namespace and name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def condition(kind: str, *, met: bool, since: datetime) -> dict[str, str]:
    """Return one entry of `status.conditions`."""
    return {"type": kind, "status": "True" if met else "False", "lastTransitionTime": timestamp(since)}


def controller_reference(owner: dict[str, Any]) -> dict[str, Any]:
    """Return the owner reference of an object that this one controls."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
