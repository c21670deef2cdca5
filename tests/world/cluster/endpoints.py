"""EndpointSlices of a Service, made as the EndpointSlice controller of Kubernetes makes them."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENDPOINTS_PER_SLICE_COUNT = 100
SERVICE_NAME_LABEL = "kubernetes.io/service-name"

ENDED = ("Succeeded", "Failed")
"""The phases of pods that never run again."""

_Ports = tuple[tuple[str, int, str], ...]


def endpoint_slices(
    service: dict[str, Any], pods: Iterable[dict[str, Any]], *, family: str = "IPv4"
) -> list[dict[str, Any]]:
    """Build the EndpointSlices of a Service for the pods its selector matches.

    A pod without an address of the family, or one that has ended, is left out. Pods whose named targetPort means
    different numbers go to different slices. Terminating pods stay, as not ready. A Service without endpoints has one
    slice whose endpoints and ports are null.
    """
    selector = service["spec"].get("selector") or {}
    by_ports: dict[_Ports, list[dict[str, Any]]] = {}
    for pod in pods:
        if not selector or not selector.items() <= pod["metadata"].get("labels", {}).items():
            continue
        addresses = [address for address in _addresses(pod) if _family(address) == family]
        if addresses and pod["status"].get("phase") not in ENDED:
            endpoints = by_ports.setdefault(_resolve_ports(service, pod), [])
            endpoints.append(_endpoint(service, pod, addresses[0]))
    found = []
    for ports, endpoints in by_ports.items():
        for start in range(0, len(endpoints), ENDPOINTS_PER_SLICE_COUNT):
            chunk = endpoints[start : start + ENDPOINTS_PER_SLICE_COUNT]
            written = [{"name": name, "port": port, "protocol": protocol} for name, port, protocol in ports]
            found.append(_slice(service, family, f"{ports} {start}", chunk, written))
    return found or [_slice(service, family, "placeholder", None, None)]


def _slice(
    service: dict[str, Any],
    family: str,
    distinction: str,
    endpoints: Sequence[dict[str, Any]] | None,
    ports: Sequence[dict[str, Any]] | None,
) -> dict[str, Any]:
    metadata = service["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {family} {distinction}".encode()).hexdigest()
    owner = {"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{digest[:5]}",
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {
                SERVICE_NAME_LABEL: metadata["name"],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }


def _endpoint(service: dict[str, Any], pod: dict[str, Any], address: str) -> dict[str, Any]:
    serving = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", ())
    )
    terminating = "deletionTimestamp" in pod["metadata"]
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    metadata = pod["metadata"]
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


def _resolve_ports(service: dict[str, Any], pod: dict[str, Any]) -> _Ports:
    """Return name, number and protocol of each Service port on this pod; a name the pod lacks is left out."""
    found = []
    for port in service["spec"].get("ports", ()):
        protocol = port.get("protocol", "TCP")
        number = _target_port(port.get("targetPort", port["port"]), protocol, pod)
        if number is not None:
            found.append((port.get("name", ""), number, protocol))
    return tuple(found)


def _target_port(target: int | str, protocol: str, pod: dict[str, Any]) -> int | None:
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers", ()):
        for port in container.get("ports", ()):
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _addresses(pod: dict[str, Any]) -> list[str]:
    return [entry["ip"] for entry in pod["status"].get("podIPs", ())]


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"
