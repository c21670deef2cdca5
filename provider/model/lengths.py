"""How long the texts of Kubernetes and AWS may be.

A name is never cut, since two names might then be equal. One that is too long for its API is refused; one that no API
checks (a reference in a custom resource) is replaced by its beginning and its digest. Only texts for people are cut.

Sources: Kubernetes, "Object Names and IDs" and "Labels and Selectors" (k8s.io/apimachinery, validation.go); STS API
Reference, AssumeRole: a role's ARN has at most 2048 characters, an external id 1224.
"""

from hashlib import sha256

LABEL = 63
"""A DNS label (a namespace, a Service, a port) and a label's value."""

NAME = 253
"""A DNS subdomain: the name of any other object. Also for uids, which the API does not check (a UUID has 36)."""

LABEL_KEY = NAME + 1 + LABEL
"""A prefix, a slash and a name."""

ARN = 2048

MESSAGE_BYTES = 2048
"""The maximum of a text that is only shown."""


TOKEN = 16
"""Minimum of a bearer token: a shorter one could be guessed. So a shorter text cannot be one, and may be shown."""


def cut(text: str, max_bytes: int = MESSAGE_BYTES) -> str:
    """Return the beginning of a text that is only shown, with `...` if it had more."""
    if len(text) * 4 <= max_bytes:  # a character has at most four bytes
        return text
    encoded = text[: max_bytes + 1].encode(errors="replace")
    return text if len(encoded) <= max_bytes else encoded[: max_bytes - 3].decode(errors="ignore") + "..."


def reference(text: str, maximum: int) -> str:
    """Return a name; one that is too long is replaced by a text that no object and no other name has."""
    return (
        text
        if len(text) <= maximum
        else f"{text[: maximum - 80]}...{sha256(text.encode(errors='replace')).hexdigest()}"
    )
