"""A small file of lines that is read from disk again when it changes, as a mounted Secret or ConfigMap does."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from provider.model.errors import NotConfigured

Content = TypeVar("Content")

MOST_FAULTS = 5
"""The faults that are named; the others are counted."""


class Reread(Generic[Content]):
    """The parsed content of a file that must have no fault at the start; later its good lines count.

    A file that cannot be read is a file without lines. What is wrong is logged when it changes; until nothing is, the
    file is read at each query.
    """

    def __init__(self, setting: str, path: Path, parse: Callable[[str, list[str]], Content], meanwhile: str) -> None:
        """Read the file now. Raises NotConfigured, naming the setting and every fault.

        `parse` returns the content of the good lines and adds a sentence for each fault, which must not quote a secret.
        `meanwhile` tells the log what holds until the file has no fault.
        """
        self._setting, self._path, self._parse, self._meanwhile = setting, path, parse, meanwhile
        self._reading = Lock()
        self._stamp = self._stamp_now()
        self._content, self.wrong = self._read()
        if self.wrong:
            raise NotConfigured(f"{setting} cannot be used: {self.wrong}")
        self.faultless = self._content
        """The content of the last version of the file that had no fault."""

    def content(self) -> Content:
        """Return what the file says now."""
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
        """Return what differs once the file has changed; None if it is not there."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[Content, str]:
        """Return the content, and what is wrong with the file in one text."""
        faults: list[str] = []
        try:
            text = self._path.read_bytes().decode("utf-8-sig", "replace")
        except OSError as error:
            text = ""
            faults.append(error.strerror or type(error).__name__)
        content = self._parse(text, faults)
        more = len(faults) - MOST_FAULTS
        return content, "; ".join([*faults[:MOST_FAULTS], *([f"{more} more faults"] if more > 0 else [])])


def words_of(text: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that has some; `#` begins a comment."""
    # Not splitlines(): it also ends a line, and with it a comment, at characters that no editor shows as a new line.
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.partition("#")[0].split()
        if any("\N{REPLACEMENT CHARACTER}" in word for word in words):
            faults.append(f"line {number} is not UTF-8 text")
        elif words:
            yield number, words
