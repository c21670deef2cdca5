"""May requests be sent to this host? Only to those of the Rollout's own listener rules.

Pure. A warm-up must not become a way to send load to others. Wildcards are those of a listener rule's host condition:
`*` for any characters, `?` for one (ELBv2, HostHeaderConditionConfig).
"""

import re
from collections.abc import Iterable


def is_among(host: str, patterns: Iterable[str]) -> bool:
    """Tell whether a host is one of these, whatever the case of its letters."""
    return any(re.fullmatch(_regular(one), host.lower()) for one in patterns)


def _regular(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern.lower())
