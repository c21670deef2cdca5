"""A small file of lines that is read from disk again when it changes, as a mounted Secret or ConfigMap does."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from provider.model.errors import NotConfigured

Content = TypeVar("Content")


class Reread(Generic[Content]):
    """The parsed content of a file. If the file becomes unreadable, the content read before stays valid."""

    def __init__(self, setting: str, path: Path, parse: Callable[[str], Content]) -> None:
        """Read the file now. Raises NotConfigured, naming the setting, if it cannot be read or parsed (ValueError)."""
        self._setting, self._path, self._parse = setting, path, parse
        self._reading = Lock()
        try:
            self._seen = self._stamp()
            self._content = self._read()
        except (OSError, ValueError) as error:
            raise NotConfigured(f"{setting} cannot be used: {_why(error)}") from error

    def content(self) -> Content:
        """Return the newest content that could be read."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                with self._reading:
                    self._content = self._read()
                    self._seen = stamp  # only after a complete read: a failed one is repeated
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning(
                "The file of %s cannot be read again: %s. What was read before stays valid.", self._setting, _why(error)
            )
        return self._content

    def _stamp(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> Content:
        return self._parse(self._path.read_text(encoding="utf-8"))


def words_of(text: str) -> list[tuple[int, list[str]]]:
    """Return the number and the words of each line that has some; `#` begins a comment."""
    lines = enumerate(text.splitlines(), start=1)
    return [(number, words) for number, line in lines if (words := line.partition("#")[0].split())]


def _why(error: Exception) -> str:
    """Say what is wrong with the file without quoting it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
