"""Sends requests at a pace, and keeps their outcomes.

At most MAX_PENDING requests are pending, so that a green that hangs is not overloaded; further ones are
skipped. No redirect is followed, since it could lead to another host, and no cookie is kept, since a sticky one would
send everything to one target.
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

MAX_PENDING = 50
TIMEOUT_SECONDS = 30.0


@dataclass
class Answers:
    """The outcomes of the requests to one address. Thread-safe: each list only grows."""

    seconds: list[float] = field(default_factory=list)
    """Response times of 2xx answers, until the headers, in order of arrival."""
    failed: list[str] = field(default_factory=list)
    """5xx answers, and requests without an answer: why."""
    refused: list[str] = field(default_factory=list)
    """3xx and 4xx answers: green does not serve this request; a redirect may not even have reached it."""

    @property
    def count(self) -> int:
        """The number of requests that have ended."""
        return len(self.seconds) + len(self.failed) + len(self.refused)


class _NoLogin(AuthBase):
    """Sends no login; without it, requests would send that of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Sender:
    """Sends the same requests to one or two addresses; `answers` are by address."""

    def __init__(self, urls: tuple[str, ...], plan: Iterator[Request], pace: Pace, headers: Mapping[str, str]) -> None:
        """Send the requests of a plan to these addresses, which have no path."""
        self._urls, self._plan, self._pace, self._headers = urls, plan, pace, headers
        self.answers = {url: Answers() for url in urls}
        self._free = threading.BoundedSemaphore(MAX_PENDING)
        self._local = threading.local()
        self._started_at = time.monotonic()

    @property
    def elapsed(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._started_at

    @property
    def rate(self) -> float:
        """The rate now, in requests per second to each address."""
        return self._pace.at(self.elapsed)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Send until `is_over`, which is called before each request."""
        with ThreadPoolExecutor(MAX_PENDING) as threads:
            due = self.elapsed
            for request in self._plan:
                due = max(due + 1 / self.rate, self.elapsed - 1)
                time.sleep(max(due - self.elapsed, 0))
                if is_over():
                    return
                for url in self._urls:
                    if self._free.acquire(blocking=False):
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
                for _ in answer.iter_content(65536):  # so that the connection is reused
                    pass
            if status >= 500:
                answers.failed.append(f"HTTP {status}")
            elif status >= 300:
                answers.refused.append(f"HTTP {status}")
            else:
                answers.seconds.append(seconds)
        except requests.Timeout:
            answers.failed.append(f"no answer within {TIMEOUT_SECONDS:g} s")
        except (requests.RequestException, OSError, ValueError) as error:  # its text may quote the address
            answers.failed.append("the connection failed" if not is_unknown_host(error) else "cannot resolve its host")
        finally:
            self._free.release()

    def _session(self) -> requests.Session:
        """Return this thread's session."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session


def is_unknown_host(error: Exception) -> bool:
    """Tell whether a request failed because its host cannot be resolved."""
    return bool(error.args) and isinstance(getattr(error.args[0], "reason", None), NameResolutionError)
