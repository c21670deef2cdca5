"""A small file of lines that is read from disk again when it changes, as a mounted Secret or ConfigMap does."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from provider.model.errors import NotConfigured

Content = TypeVar("Content")

MAX_FAULTS = 5
"""Maximum number of faults that are named; the others are counted."""


class Reread(Generic[Content]):
    """The parsed content of a file that must be faultless at the start; later its valid lines count.

    A file that cannot be read counts as empty. Its faults are logged when they change; while it has any, the file is
    read at each query.
    """

    def __init__(self, setting: str, path: Path, parse: Callable[[str, list[str]], Content], meanwhile: str) -> None:
        """Read the file now. Raises NotConfigured, naming the setting and every fault.

        `parse` returns the content of the valid lines and adds a sentence for each fault, which never quotes a secret.
        `meanwhile` is logged with the faults: what holds until they are mended.
        """
        self._setting, self._path, self._parse, self._meanwhile = setting, path, parse, meanwhile
        self._reading = Lock()
        self._stamp = self._stamp_now()
        self._content, self.wrong = self._read()
        if self.wrong:
            raise NotConfigured(f"{setting} cannot be used: {self.wrong}")
        self.faultless = self._content
        """The content of the last faultless version of the file."""

    def content(self) -> Content:
        """Return the current content of the file."""
        with self._reading:
            stamp = self._stamp_now()
            if stamp != self._stamp or self.wrong:
                logged = self.wrong
                self._content, self.wrong = self._read()
                self._stamp = stamp
                if not self.wrong:
                    self.faultless = self._content
                elif self.wrong != logged:
                    logging.getLogger(__name__).warning(
                        "The file of %s cannot be read in full: %s. %s", self._setting, self.wrong, self._meanwhile
                    )
            return self._content

    def _stamp_now(self) -> tuple[int, int, int] | None:
        """Return what changes with the file; None if it does not exist."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[Content, str]:
        """Return the content, and the faults as a sentence; empty without faults."""
        faults: list[str] = []
        try:
            text = self._path.read_bytes().decode("utf-8-sig", "replace")
        except OSError as error:
            text = ""
            faults.append(error.strerror or type(error).__name__)
        content = self._parse(text, faults)
        others = [f"{len(faults) - MAX_FAULTS} more faults"] if len(faults) > MAX_FAULTS else []
        return content, "; ".join([*faults[:MAX_FAULTS], *others])


def words_of(text: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line with words; `#` begins a comment."""
    # Not splitlines(): it also ends a line, and so a comment, at characters that editors do not show as a new line.
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.partition("#")[0].split()
        if any("\N{REPLACEMENT CHARACTER}" in word for word in words):
            faults.append(f"line {number} is not UTF-8 text")
        elif words:
            yield number, words
