"""Which binding APIs the cluster serves. A 404 does not prove that there are no bindings.

Most clusters serve one of the two. An API that is not served answers 404, and so does one that is temporarily missing:
while its CustomResourceDefinition is established again, or while one of several API servers lags behind.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import ApiServer, listing
from provider.sources.kubernetes.resources import Api

NOT_SERVED_HOLDS = timedelta(minutes=1)
"""How long a 404 is cached for reads that decide nothing."""


class ServedApis:
    """What this process has seen of each API. Thread-safe."""

    def __init__(self, server: ApiServer, clock: Callable[[], datetime]) -> None:
        """Start without any knowledge."""
        self._server, self._clock = server, clock
        self._lock = Lock()
        self._served: set[str] = set()
        self._not_served: dict[str, datetime] = {}

    def read_list(
        self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, decides_since: datetime | None
    ) -> list[Any] | None:
        """List all records, or return None where the cluster does not serve this API. Raises CannotTell.

        An API that was never served is tried once a minute, since it may be installed later. After it was served once,
        a 404 raises CannotTell.

        If the answer decides, a 404 counts only from `decides_since` on, and only if the discovery of the API's group
        lacks the version too: a process that has just started does not know what was served before. With a real API
        server (1.34) both are a 503 while it starts; while a CustomResourceDefinition is not established, the list is a
        404 and `/apis/<group>` has its version. `/apis` does not help: after a start it lacks groups.
        """
        requested_at = self._clock()
        if self._is_cached_as_absent(api, requested_at, decides_since):
            records = None
        else:
            records = self._server.read_list_or_none(api, namespace, shape, deadline)
            self._note(api, namespace, requested_at, is_served=records is not None)
        if records is None and decides_since is not None and self._server.is_discovered(api, deadline):
            raise _missing(
                f"The cluster has {api.group}/{api.version} and answers 404 ({listing(api, namespace)})",
                "Wait until the CRD is established; if it is gone for good, remove the group's other CRDs too",
            )
        return records

    def _is_cached_as_absent(self, api: Api, now: datetime, decides_since: datetime | None) -> bool:
        with self._lock:
            not_served_at = self._not_served.get(api.rbac)
        if not_served_at is None or not_served_at > now:
            return False
        if decides_since is not None:
            return not_served_at >= decides_since
        return now - not_served_at < NOT_SERVED_HOLDS

    def _note(self, api: Api, namespace: str, requested_at: datetime, *, is_served: bool) -> None:
        """Keep an answer. Raises CannotTell if the API was served before and is not now."""
        with self._lock:
            if is_served:
                self._served.add(api.rbac)
                self._not_served.pop(api.rbac, None)
            elif api.rbac not in self._served:
                self._not_served[api.rbac] = requested_at
            else:
                raise _missing(
                    f"The cluster served this API before and answers 404 now ({listing(api, namespace)})",
                    "Wait for the API server, or install the CRD again; if it is gone for good, restart the provider",
                )


def _missing(observation: str, todo: str) -> CannotTell:
    return CannotTell(Reason.KUBERNETES_API_MISSING, f"{observation}, so it is unknown which bindings exist. {todo}.")
