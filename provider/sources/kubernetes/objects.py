"""The reads of single kinds of objects that everything else is made of. Nothing is cached here."""

from functools import partial
from typing import Any, cast

from provider.model.errors import RolloutNotFound
from provider.model.records import HASH_LABEL, Rollout, Service
from provider.sources.bulkheads import KUBERNETES, Bulkheads, Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.resources import ROLLOUTS, SERVICES, SLICES, Api

MAX_SINGLE_READS = 8
"""Up to this many objects are read by name; more are cheaper as one list."""


class Objects:
    """Objects of one cluster, read on the threads of Kubernetes. All raise CannotTell."""

    def __init__(self, server: ApiServer, threads: Bulkheads) -> None:
        """Read from this API server."""
        self._server, self._threads = server, threads

    def read(self, deadline: Deadline, *reads: Read) -> list[Any]:
        """Run reads at the same time and return their results in order. Raises the first error in order."""
        return self._threads.read(KUBERNETES, deadline, *reads)

    def rollout(self, namespace: str, name: str, deadline: Deadline) -> Rollout:
        """Read a Rollout. Raises RolloutNotFound."""
        rollout = self._server.read_one(ROLLOUTS, namespace, name, shapes.Rollout, deadline)
        if rollout is None:
            raise RolloutNotFound(f"There is no Rollout {name} in namespace {namespace}")
        return cast(Rollout, rollout)

    def service(self, namespace: str, name: str, deadline: Deadline) -> Service | None:
        """Read a Service; None if it does not exist."""
        return cast(Service | None, self._server.read_one(SERVICES, namespace, name, shapes.Service, deadline))

    def service_read(self, namespace: str, name: str, deadline: Deadline) -> Read:
        """Return the read of a Service."""
        return Read(f"Service {name}", lambda: self.service(namespace, name, deadline))

    def of_green(self, api: Api, shape: type[Any], rollout: Rollout, deadline: Deadline) -> Read:
        """List what has green's hash; nothing without one, since an empty selector would mean everything."""
        if not rollout.current_hash:
            return Read(api.rbac, list)
        return self.list_read(api, rollout.namespace, shape, f"{HASH_LABEL}={rollout.current_hash}", deadline)

    def slices(self, namespace: str, services: tuple[str, ...], deadline: Deadline) -> Read:
        """List the EndpointSlices of these Services."""
        if not services:
            return Read(SLICES.rbac, list)
        selector = f"kubernetes.io/service-name in ({','.join(services)})"
        return self.list_read(SLICES, namespace, shapes.EndpointSlice, selector, deadline)

    def list_read(self, api: Api, namespace: str, shape: type[Any], selector: str, deadline: Deadline) -> Read:
        """Return the read of a list."""
        return Read(api.rbac, partial(self._server.read_list, api, namespace, shape, deadline, selector))

    def named(
        self, api: Api, namespace: str, shape: type[Any], selector: str, names: tuple[str, ...], deadline: Deadline
    ) -> list[Any]:
        """Read the named objects: one request each up to MAX_SINGLE_READS, otherwise one list by selector."""
        if len(names) > MAX_SINGLE_READS:
            (objects,) = self.read(deadline, self.list_read(api, namespace, shape, selector, deadline))
        else:
            get = partial(self._server.read_one, api, namespace, shape=shape, deadline=deadline)
            objects = self.read(deadline, *(Read(f"{api.rbac} {name}", partial(get, name)) for name in names))
        return [record for record in objects if record is not None]
