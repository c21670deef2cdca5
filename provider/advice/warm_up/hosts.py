"""Which hosts may get requests: those of the Rollout's own listener rules.

Pure. Otherwise a warm-up could send load to others. Wildcards are those of a listener rule's host condition:
`*` for any characters, `?` for one (ELBv2, HostHeaderConditionConfig).
"""

import re
from collections.abc import Iterable


def is_among(host: str, patterns: Iterable[str]) -> bool:
    """Tell whether a host matches one of these patterns, ignoring case."""
    return any(re.fullmatch(_regular(pattern), host.lower()) for pattern in patterns)


def _regular(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern.lower())
