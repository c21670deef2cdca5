"""Sends requests at a pace, and keeps what came of them.

Bounded: so many at the same time and no more, since a green that hangs must not be buried; what cannot be sent in time
is left out, not made up for. No redirect is followed, since it could lead to another host, and no cookie is kept, since
a sticky one would send everything to one target.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.auth import AuthBase
from urllib3.exceptions import NameResolutionError

from provider.advice.warm_up.plan import Pace, Request

MOST_AT_ONCE = 50
TIMEOUT_SECONDS = 30.0
SERVER_ERROR, NOT_ANSWERED = 500, 300


@dataclass
class Answers:
    """What came of the requests to one side. Thread-safe: each list only grows."""

    seconds: list[float] = field(default_factory=list)
    """Of those that were answered with 2xx, until the headers, in order of arrival."""
    failed: list[str] = field(default_factory=list)
    """5xx, and what prevented an answer."""
    refused: list[str] = field(default_factory=list)
    """3xx and 4xx: this is no request that green serves; a redirect may not even have reached it."""

    @property
    def count(self) -> int:
        """How many requests have ended."""
        return len(self.seconds) + len(self.failed) + len(self.refused)


class _NoLogin(AuthBase):
    """Sends no login: without an object like this requests sends the one that ~/.netrc has."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Sender:
    """Sends the same requests to one or two addresses; `answers` are by address."""

    def __init__(self, urls: tuple[str, ...], turn: Iterator[Request], pace: Pace, headers: Mapping[str, str]) -> None:
        """Send to these addresses, which have no path."""
        self._urls, self._turn, self._pace, self._headers = urls, turn, pace, headers
        self.answers = {url: Answers() for url in urls}
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._local = threading.local()
        self._began_at = time.monotonic()

    @property
    def elapsed(self) -> float:
        """The seconds since the beginning."""
        return time.monotonic() - self._began_at

    @property
    def rate(self) -> float:
        """The rate now, in requests per second to each address."""
        return self._pace.at(self.elapsed)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Send until `is_over`, which is asked before each request."""
        with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
            due = self.elapsed
            for request in self._turn:
                due = max(due + 1 / self.rate, self.elapsed - 1)
                time.sleep(max(due - self.elapsed, 0))
                if is_over():
                    return
                for url in self._urls:
                    if self._room.acquire(blocking=False):
                        threads.submit(self._send, url, request)

    def _send(self, url: str, request: Request) -> None:
        answers = self.answers[url]
        try:
            with self._session().request(
                request.method,
                url + request.path,
                headers=self._headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
                auth=_NoLogin(),
            ) as answer:
                status, seconds = answer.status_code, answer.elapsed.total_seconds()
                for _ in answer.iter_content(65536):  # so that the connection can be used again
                    pass
            if status >= SERVER_ERROR:
                answers.failed.append(f"HTTP {status}")
            elif status >= NOT_ANSWERED:
                answers.refused.append(f"HTTP {status}")
            else:
                answers.seconds.append(seconds)
        except requests.Timeout:
            answers.failed.append(f"no answer within {TIMEOUT_SECONDS:g} s")
        except (requests.RequestException, OSError, ValueError) as error:  # the text may quote the address
            answers.failed.append("the connection failed" if not is_unknown_host(error) else "cannot resolve its host")
        finally:
            self._room.release()

    def _session(self) -> requests.Session:
        """Return this thread's session."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session


def is_unknown_host(error: Exception) -> bool:
    """Tell whether a request failed because no DNS server knows its host."""
    return bool(error.args) and isinstance(getattr(error.args[0], "reason", None), NameResolutionError)
