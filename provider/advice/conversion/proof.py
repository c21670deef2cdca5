"""What keeps a blue-green Rollout from being converted: everything that the conversion does not understand as a whole.

Each sentence names the field, and what to do by hand. Nothing here changes a manifest.
"""

import re
from collections.abc import Iterator

from provider.advice.preflight.manifests import Object, at, name_of
from provider.advice.preflight.routing import (
    ALB,
    USE_ANNOTATION,
    actions_of,
    annotations_of,
    backends_of,
    controller_of,
)
from provider.advice.preflight.setup import Setup, setups
from provider.advice.preflight.target_groups import ROUTES, service_port
from provider.rules.analysis import places_of, wanted_templates
from provider.rules.analysis_arguments import PLACEHOLDER

CONVERTED = {
    "activeService", "previewService", "prePromotionAnalysis", "postPromotionAnalysis", "autoPromotionEnabled",
    "scaleDownDelaySeconds", "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds", "antiAffinity",
    "previewReplicaCount",
}  # fmt: skip
"""Fields of `blueGreen` that have a place in a canary, and `previewReplicaCount`, which is left out and told."""

BY_BACKEND = ("conditions.", "transforms.")
"""Annotations keyed by the name of a rule's backend, which follow the rule to its new one."""


def obstacles(setup: Setup, *, keep_preview: bool) -> Iterator[str]:
    """Yield a sentence for each thing that cannot be converted with certainty."""
    blue_green = setup.blue_green or {}
    active, preview = str(at(blue_green, "activeService", "")), str(at(blue_green, "previewService", ""))
    if not preview:
        yield "The Rollout has no previewService: add one behind its own listener rule first"
        return
    for name in (active, preview):
        ports = at(setup.find("Service", name), "spec.ports")
        if setup.find("Service", name) is None:
            yield f"Service {name} is not among the manifests: add its file"
        elif not at(setup.find("Service", name), "spec.selector"):
            yield f"Service {name} has no spec.selector: let it select the Rollout's pods first"
        elif not ports or len(ports) != 1:
            yield f"Service {name} has {len(ports or ())} ports: convert the one behind the load balancer by hand"
    for field in blue_green:
        if field not in CONVERTED:
            yield f"spec.strategy.blueGreen.{field} has no place in a canary: remove it, or convert by hand"
    yield from _other_ways(setup, active, preview)
    yield from _ingresses(setup, active, preview, keep_preview=keep_preview)
    yield from _templates(setup)


def production_ingresses(setup: Setup) -> list[Object]:
    """Return the Ingresses with a rule for the active Service."""
    every = setup.of("Ingress")
    return [one for one in every if any(backend.name == setup.production for backend in backends_of(one))]


def _other_ways(setup: Setup, active: str, preview: str) -> Iterator[str]:
    """Yield what else leads to the pair: it would show the other version after each release."""
    for binding in setup.bindings:
        yield (
            f"TargetGroupBinding {name_of(binding)} binds Service {at(binding, 'spec.serviceRef.name')} "
            "(spec.serviceRef): after each release it would be the other version's; convert it by hand"
        )
    for kind in ROUTES:
        for route in setup.of(kind):
            if any(f"'{name}'" in str(at(route, "spec")) for name in (active, preview)):
                yield f"{kind} {name_of(route)} leads to the pair (spec.rules): Argo writes no weights for ALB into it"
    for name in (active, preview):
        if at(setup.find("Service", name), "spec.type") == "LoadBalancer":
            yield f"Service {name} has a load balancer of its own (spec.type): Argo writes weights into an Ingress only"
    for other in setups(setup.manifests):
        if other.name != setup.name and {active, preview} & set(other.service_names.values()):
            yield f"Rollout {other.name} names the same Services: separate them first"


def _ingresses(setup: Setup, active: str, preview: str, *, keep_preview: bool) -> Iterator[str]:
    production = production_ingresses(setup)
    if not production:
        yield f"No Ingress among the manifests has a rule for Service {active} (spec.rules): add its file"
        return
    if len(production) > 1:
        names = ", ".join(name_of(one) for one in production)
        yield (
            f"Service {active} is in several Ingresses ({names}): give each the action by hand, "
            "and name them in trafficRouting.alb.ingresses"
        )
        return
    ingress = production[0]
    if controller_of(setup, ingress) is not True:
        class_name = at(ingress, "spec.ingressClassName") or "none"
        yield (
            f"Nothing says that Ingress {name_of(ingress)} is the ALB controller's (spec.ingressClassName "
            f"{class_name}): another controller knows no action annotation. Add its IngressClass, if it is"
        )
    for backend in backends_of(ingress):
        if backend.name == active and backend.path == ("spec", "defaultBackend"):
            yield f"Service {active} is spec.defaultBackend of Ingress {name_of(ingress)}: write a rule for it first"
        if backend.name == active and backend.port == USE_ANNOTATION:
            yield (
                f"A rule of Ingress {name_of(ingress)} for {active} has an action already (actions.{active}), with "
                "its own weights and stickiness, and Argo writes the action anew: remove it, and set "
                "trafficRouting.alb.stickinessConfig by hand"
            )
    service = setup.find("Service", active)
    ports = {str(one.port) for one in backends_of(ingress) if one.name == active and one.port != USE_ANNOTATION}
    if len(ports) > 1 or any(service_port(service, port) is None for port in ports):
        yield f"The rules for Service {active} name the ports {', '.join(sorted(ports))}: let them name one that it has"
    yield from _annotations(setup, active, preview)
    yield from _preview_rules(setup, ingress, preview, keep_preview=keep_preview)


def _annotations(setup: Setup, active: str, preview: str) -> Iterator[str]:
    for ingress in setup.of("Ingress"):
        for name, forwards in actions_of(ingress).items():
            if name == active and any(backend.name == active for backend in backends_of(ingress)):
                continue  # told with its rule
            if {service for service, _ in forwards} & {active, preview} or name in {active, preview}:
                yield (
                    f"The annotation {ALB}actions.{name} of Ingress {name_of(ingress)} names the pair: "
                    "Argo does not follow it; remove it, or convert by hand"
                )
        for key in annotations_of(ingress):
            rest = key.removeprefix(ALB)
            is_keyed = re.search(rf"\.({re.escape(active)}|{re.escape(preview)})(\.|$)", rest)
            if key.startswith(ALB) and is_keyed and not rest.startswith(("actions.", *BY_BACKEND)):
                yield f"The annotation {key} of Ingress {name_of(ingress)} is keyed by a Service: convert by hand"
    for name in (active, preview):
        texts = (
            annotations_of(setup.find("Service", name)),
            *(annotations_of(one) for one in setup.of("Ingress")),
        )
        if any("stickiness.enabled=true" in str(text.get(f"{ALB}target-group-attributes", "")) for text in texts):
            yield (
                f"stickiness.enabled is true for the target groups of {name}: with weights users need the action's "
                "stickiness too; set trafficRouting.alb.stickinessConfig by hand"
            )
            return


def _preview_rules(setup: Setup, production: Object, preview: str, *, keep_preview: bool) -> Iterator[str]:
    for ingress in setup.of("Ingress"):
        for backend in backends_of(ingress):
            if backend.name != preview:
                continue
            if backend.path == ("spec", "defaultBackend"):
                yield f"Service {preview} is spec.defaultBackend of Ingress {name_of(ingress)}: write a rule first"
            elif ingress is not production:
                todo = "let its rule stand in the Ingress of production" if keep_preview else "remove that rule"
                yield (
                    f"Ingress {name_of(ingress)} has a rule for {preview} (spec.rules), which would show production "
                    f"after every second release: {todo} first"
                )
            elif backend.port == USE_ANNOTATION:
                yield f"The rule for {preview} has an action (actions.{preview}): write the Service's port first"


def _templates(setup: Setup) -> Iterator[str]:
    """Yield what keeps templates from losing `stage=afterSwitch`, which never passes within the steps of a canary."""
    others = [one for one in setups(setup.manifests) if one.name != setup.name]
    elsewhere = set().union(*(wanted_templates(one.rollout, one.templates) for one in others))
    for kind, name in sorted(wanted_templates(setup.rollout, setup.templates) - setup.templates.keys()):
        yield f"{kind} {name} is not among the manifests: add its file"
    places = places_of(setup.rollout)
    after, before = (_used(setup, places.get(f"{side}PromotionAnalysis")) for side in ("post", "pre"))
    for key in sorted(after & setup.templates.keys()):
        text = str(setup.templates[key].get("spec"))
        if re.search(r"\bstage\b[^&]*\{\{", "&".join(re.findall(r"[?&](stage=[^&'\s]*)", text))) or re.search(
            r"'stage': '" + PLACEHOLDER.pattern, text
        ):
            yield f"{key[0]} {key[1]} takes stage from an argument: write it into the template first"
        elif "afterSwitch" in text and (key in elsewhere or key in before):
            yield f"{key[0]} {key[1]} is used elsewhere with stage=afterSwitch: give this Rollout one of its own first"
        elif "afterSwitch" in text and key[0] == "ClusterAnalysisTemplate":
            yield (
                f"{key[0]} {key[1]} has stage=afterSwitch, which no canary may ask for, and others in the cluster may "
                "use it: give this Rollout a template of its own first"
            )


def _used(setup: Setup, analysis: Object | None) -> set[tuple[str, str]]:
    """Return the templates of one analysis, with those that they name."""
    rollout = {"spec": {"strategy": {"blueGreen": {"prePromotionAnalysis": analysis or {}}}}}
    return wanted_templates(rollout, setup.templates)
