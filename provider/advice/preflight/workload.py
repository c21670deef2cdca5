"""What has the pod template of a Rollout: itself, or the workload that it names."""

from dataclasses import dataclass
from functools import cached_property

from provider.advice.preflight.manifests import Object, at
from provider.sources.kubernetes.schemas import FieldPath


@dataclass(frozen=True)
class Workload:
    """A Rollout, or the workload that it names (`workloadRef`); `manifest` is None if that is not known."""

    label: str
    manifest: Object | None
    is_referenced: bool = False

    @property
    def path(self) -> FieldPath:
        """Where the pod template is."""
        return ("template",) if at(self.manifest, "kind") == "PodTemplate" else ("spec", "template")

    @cached_property
    def template(self) -> Object:
        """The pod template; empty if it is not known."""
        template: Object = at(self.manifest, "spec.template") or at(self.manifest, "template", {})
        return template

    @cached_property
    def port_names(self) -> set[str] | None:
        """The names of ports of the containers that run beside each other; None if the pods are not known.

        An init container that restarts always is a sidecar: it runs for as long as the others.
        """
        containers = at(self.template, "spec.containers")
        sidecars = [one for one in at(self.template, "spec.initContainers", []) if at(one, "restartPolicy") == "Always"]
        every = [port for one in (*(containers or ()), *sidecars) for port in at(one, "ports", [])]
        return {str(at(port, "name")) for port in every if at(port, "name")} if containers is not None else None
