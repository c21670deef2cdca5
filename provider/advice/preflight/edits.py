"""What an edit does to target groups: which Service would get a new one?

The controller builds the name of an Ingress's target group from a hash over these settings, and a group of another name
is another group. Source: AWS Load Balancer Controller, pkg/ingress/model_build_target_group.go.
"""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.load_balancer import PREFIX, backends, ingresses_of, target_type
from provider.advice.preflight.manifests import Object, Setup, at, name_of, setups

DEFAULTS = {"backend-protocol": "HTTP", "backend-protocol-version": "HTTP1", "group.name": "none"}


def renamed(setup: Setup) -> Iterator[Finding]:
    """Each Service keeps the target group that it has before the edit."""
    known = [one for one in setups(setup.manifests.before) if one.name == setup.name] if setup.manifests.before else []
    for before in known:
        now = _named_by(setup)
        for (ingress, service), was in _named_by(before).items():
            becomes = now.get((ingress, service))
            if becomes is None:
                continue  # another Ingress or none: its own findings tell what is missing then
            changes = [f"{name} from {was[name]} to {becomes[name]}" for name in was if was[name] != becomes[name]]
            if changes:
                says = f"Service {service} in Ingress {ingress} gets a new target group: {', '.join(changes)}"
                yield finding(Code.TARGET_GROUP_RENAMED, (f"Service/{service}", f"Ingress/{ingress}"), says)


def _named_by(setup: Setup) -> dict[tuple[str, str], dict[str, str]]:
    """Return what names the target group of each Service in each Ingress."""
    return {
        (name_of(ingress), service): _settings(setup, ingress, service, port)
        for ingress in ingresses_of(setup)
        for service, port in backends(ingress)
        if service in setup.services
    }


def _settings(setup: Setup, ingress: Object, service: str, port: object) -> dict[str, str]:
    own = at(setup.services.get(service, {}), "metadata.annotations", {})
    of_ingress = at(ingress, "metadata.annotations", {})
    kind = target_type(setup, service) or "instance"
    found = {
        name: str(own.get(PREFIX + name) or of_ingress.get(PREFIX + name, standard))
        for name, standard in DEFAULTS.items()
    }
    ports = at(setup.services.get(service, {}), "spec.ports", [])
    behind = [
        one.get("targetPort", one.get("port"))
        for one in ports
        if str(port) in {str(one.get("name")), str(one.get("port"))}
    ]
    target = str(behind[0]) if behind and kind == "ip" else ""
    return {"target type": kind, "port": str(port), "target port": target, **found}
