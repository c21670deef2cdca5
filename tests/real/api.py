"""Reads and writes objects of the real API server."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests

from tests.real.kinds import KINDS, kind_of

Manifest = dict[str, Any]


class Api:
    """A client with one bearer token. Every method raises requests.HTTPError with the server's message."""

    def __init__(self, url: str, token: str, authority: Path) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = str(authority)

    def list(self, kind: str, namespace: str = "", *, cached: bool = False, **labels: str) -> list[Manifest]:
        """Return all objects of a kind, in one namespace or in all.

        `cached`: as the API server's cache has them, at half of its cost.
        """
        params = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
        if cached:
            params["resourceVersion"] = "0"
        found: list[Manifest] = self._call("GET", KINDS[kind].path(namespace), params=params)["items"]
        return found

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        """Return one object."""
        return self._call("GET", KINDS[kind].path(namespace, name))

    def find(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return one object, or None if there is none."""
        try:
            return self.get(kind, namespace, name)
        except requests.HTTPError as error:
            if error.response.status_code == requests.codes.not_found:
                return None
            raise

    def apply(self, manifests: Iterable[Manifest], namespace: str = "") -> None:
        """Apply manifests as `kubectl apply --server-side` does; namespaced ones can be moved to another namespace."""
        for manifest in manifests:
            kind, metadata = kind_of(manifest), dict(manifest["metadata"])
            if namespace and kind.namespaced:
                metadata["namespace"] = namespace
            self._call(
                "PATCH",
                kind.path(metadata.get("namespace", ""), metadata["name"]),
                params={"fieldManager": "tests", "force": "true"},
                data=json.dumps(manifest | {"metadata": metadata}),
                headers={"Content-Type": "application/apply-patch+yaml"},
            )

    def patch(self, kind: str, namespace: str, name: str, change: Manifest, part: str = "") -> Manifest:
        """Merge a change into an object, or into its `status` or `scale`; conditions of a pod by their type."""
        way = "strategic-merge-patch" if kind in ("Pod", "Node") else "merge-patch"
        return self._call(
            "PATCH",
            KINDS[kind].path(namespace, name, part),
            data=json.dumps(change),
            headers={"Content-Type": f"application/{way}+json"},
        )

    def create(self, kind: str, namespace: str, body: Manifest, name: str = "", part: str = "") -> Manifest:
        """Create an object, or post to a subresource such as `binding` or `token`."""
        return self._call("POST", KINDS[kind].path(namespace, name, part), data=json.dumps(body))

    def delete(self, kind: str, namespace: str, name: str, grace_seconds: int | None = None) -> None:
        """Delete an object; one that is gone already is no error."""
        options: Manifest = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._call("DELETE", KINDS[kind].path(namespace, name), data=json.dumps(options))
        except requests.HTTPError as error:
            if error.response.status_code != requests.codes.not_found:
                raise

    def _call(self, method: str, path: str, **arguments: Any) -> Manifest:
        arguments["headers"] = {"Content-Type": "application/json"} | arguments.get("headers", {})
        response = self._session.request(method, self.url + path, timeout=30, **arguments)
        if response.status_code >= requests.codes.bad_request:
            raise requests.HTTPError(f"{method} {path}: {response.status_code} {response.text}", response=response)
        found: Manifest = response.json()
        return found
