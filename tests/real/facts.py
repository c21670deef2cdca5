"""What real Argo Rollouts did, by version: the table in docs/versions.md."""

import threading
from dataclasses import dataclass, field

from tests import ROOT
from tests.real.build import ARGO_VERSIONS, KUBERNETES_VERSION

DOCUMENT = ROOT / "docs" / "versions.md"

_BEGIN, _END = "<!-- facts -->", "<!-- /facts -->"

_HEAD = f"""
Seen by `make real`, which writes this section: real Argo Rollouts and a real API server (Kubernetes
{KUBERNETES_VERSION}) with the example templates. For what each of Argo's commands does see
[operations.md](operations.md#argos-commands).

"""


@dataclass
class Facts:
    """Facts by what happens and by Argo's version."""

    _found: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, version: str, when: str, then: str) -> None:
        """Keep what a version does in a situation."""
        with self._lock:
            self._found.setdefault(when, {})[version] = then

    def is_complete(self) -> bool:
        """Whether every version was seen in every situation."""
        return bool(self._found) and all(len(by_version) == len(ARGO_VERSIONS) for by_version in self._found.values())

    def text(self) -> str:
        """Return the document with this section as it was seen."""
        lines = [f"| situation | {' | '.join(ARGO_VERSIONS)} |", "|---|" + "---|" * len(ARGO_VERSIONS)]
        for when, by_version in sorted(self._found.items()):
            seen = [by_version[version] for version in ARGO_VERSIONS]
            marked = seen if len(set(seen)) == 1 else [f"**{then}**" for then in seen]
            lines.append(f"| {when} | {' | '.join(marked)} |")
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
        section = _HEAD + "\n".join(lines) + "\n\nWhat differs is in bold.\n"
        return before + _BEGIN + section + _END + rest.partition(_END)[2]
