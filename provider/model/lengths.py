"""How long the texts of Kubernetes and AWS may be.

A name is never cut, since two names might then be equal. One that its API cannot have is refused; one that nobody has
checked (a reference in a custom resource) is replaced by its beginning and its digest. Only what is shown is cut.

Sources: Kubernetes, "Object Names and IDs" and "Labels and Selectors" (k8s.io/apimachinery, validation.go); STS API
Reference, AssumeRole: a role's ARN has at most 2048 characters, an external id 1224.
"""

from hashlib import sha256

LABEL = 63
"""A DNS label (a namespace, a Service, a port) and a label's value."""

NAME = 253
"""A DNS subdomain: the name of any other object. A uid is a UUID of 36, but its API does not check that."""

LABEL_KEY = NAME + 1 + LABEL
"""A prefix, a slash and a name."""

ARN = 2048

MESSAGE_BYTES = 2048
"""What is kept of a sentence of somebody else."""


def cut(text: str, most_bytes: int = MESSAGE_BYTES) -> str:
    """Return the beginning of a text that is only shown, with `...` if it had more."""
    if len(text) * 4 <= most_bytes:  # a character has at most four bytes
        return text
    encoded = text[: most_bytes + 1].encode(errors="replace")
    return text if len(encoded) <= most_bytes else encoded[: most_bytes - 3].decode(errors="ignore") + "..."


def reference(text: str, most: int) -> str:
    """Return a name that may be longer than any object's: such a one differs from every name, and from its like."""
    return text if len(text) <= most else f"{text[: most - 80]}...{sha256(text.encode(errors='replace')).hexdigest()}"
