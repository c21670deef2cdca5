"""Requests and answers as the stand-ins see them: HTTP/1.1 with kept connections, as much as clients use."""

from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass
class Request:
    """One request; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @classmethod
    def of(cls, head: str) -> "Request":
        """Parse everything before the body."""
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        return cls(method, target, {name.lower(): value.strip() for name, _, value in pairs})

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    @property
    def accept_encoding(self) -> str:
        return self.headers.get("accept-encoding", "identity")


@dataclass(frozen=True)
class Answer:
    """A whole response as bytes. `name` is the operation in its owner's words, `about` the object it concerns."""

    status: int
    content: bytes
    name: str
    about: str = ""


def ok(body: bytes, content_type: str, status: int = 200, content_encoding: str = "") -> bytes:
    """Return a whole response."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
    head += f"Content-Encoding: {content_encoding}\r\n" if content_encoding else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
