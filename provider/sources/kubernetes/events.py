"""Writes Kubernetes Events on Rollouts: the only writes to Kubernetes, off unless PROVIDER_EVENTS=enabled.

Events are queued and written by a separate thread. One that cannot be written is counted, logged and dropped; it never
delays or changes an answer.
"""

import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from queue import Empty, Full, Queue
from threading import Event, Lock
from urllib.parse import quote

import urllib3

from provider.model.errors import CannotTell
from provider.sources.kubernetes.connection import Client
from provider.sources.kubernetes.kubernetes_errors import refused, unreachable
from provider.telemetry import Metrics

BURST, SECONDS_PER_EVENT = 25, 300.0
"""Limit of Events per Rollout, as in client-go's recorder: a burst, then one in five minutes."""

MAX_QUEUED, MAX_ROLLOUTS = 100, 1000
MAX_MESSAGE_BYTES = 1024
"""What the API accepts (kubernetes pkg/apis/core/validation/events.go)."""

COMPONENT = "alb-provider"


@dataclass(frozen=True, slots=True)
class News:
    """What an Event says, and about which Rollout."""

    namespace: str
    rollout: str
    uid: str
    reason: str
    message: str
    is_warning: bool
    at: datetime


class Events:
    """A bounded queue of Events, and the thread that writes them (`run`)."""

    def __init__(
        self,
        connect: Callable[[], Client],
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        timeout_seconds: float,
    ) -> None:
        """Write through the client that `connect` makes."""
        self._client = connect()
        self._connect_again = connect
        self._metrics, self._clock, self._timeout = metrics, clock, timeout_seconds
        self._queue: Queue[News] = Queue(MAX_QUEUED)
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def note(self, news: News) -> None:
        """Queue an Event without waiting; it is dropped beyond the limit of its Rollout, or of the queue."""
        if not self._allows(news):
            self._metrics.events.labels("dropped").inc()
            return
        try:
            self._queue.put_nowait(news)
        except Full:
            self._metrics.events.labels("dropped").inc()

    def run(self, stopping: Event) -> None:
        """Write queued Events until `stopping` is set."""
        while not stopping.is_set():
            try:
                news = self._queue.get(timeout=0.5)
            except Empty:
                continue
            try:
                self.write(news)
            except CannotTell as error:
                self._metrics.events.labels("failed").inc()
                logging.getLogger(__name__).warning("%s", error)
            except Exception:  # the thread must go on
                logging.getLogger(__name__).exception("Defect while writing an Event")

    def write(self, news: News) -> None:
        """Write one Event. Raises CannotTell."""
        what = f"create events in namespace {news.namespace}"
        path = f"/api/v1/namespaces/{quote(news.namespace, safe='')}/events"
        status, body = self._post(path, news, what)
        if status == HTTPStatus.UNAUTHORIZED:  # the token was rotated
            self._client = self._connect_again()
            status, body = self._post(path, news, what)
        if status != HTTPStatus.CREATED:
            raise refused(what, status, body)
        self._metrics.events.labels("written").inc()

    def _post(self, path: str, news: News, what: str) -> tuple[int, bytes]:
        try:
            return self._client.send("POST", path, (self._timeout, self._timeout), content=_manifest(news))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(what, error) from error

    def _allows(self, news: News) -> bool:
        """Take a token from the Rollout's bucket."""
        now = self._clock()
        with self._lock:
            level, at = self._buckets.pop(news.uid, (float(BURST), now))
            level = min(float(BURST), level + (now - at).total_seconds() / SECONDS_PER_EVENT)
            allowed = level >= 1
            self._buckets[news.uid] = (level - 1 if allowed else level, now)
            while len(self._buckets) > MAX_ROLLOUTS:
                self._buckets.popitem(last=False)
            return allowed


def _manifest(news: News) -> dict[str, object]:
    """Return the Event (core/v1); `kubectl describe rollout` finds it by the Rollout's uid."""
    at = news.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    encoded = news.message.encode()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{news.rollout}.", "namespace": news.namespace},
        "involvedObject": {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "namespace": news.namespace,
            "name": news.rollout,
            "uid": news.uid,
        },
        "reason": news.reason,
        "message": encoded[:MAX_MESSAGE_BYTES].decode(errors="ignore"),
        "type": "Warning" if news.is_warning else "Normal",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": socket.gethostname()[:128],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
