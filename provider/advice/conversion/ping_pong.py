"""Converts a blue-green Rollout with its Services, Ingress and templates into a ping-pong canary used like blue-green.

The two Services stay, and with them their target groups: the active one becomes pong, which Argo takes for stable while
`status.canary.stablePingPong` is empty, so the first reconcile changes no selector. A third Service is only a name for
the action of the listener rule, whose weights Argo writes.
Sources: Argo Rollouts 1.10.1 (rollout/trafficrouting/service_helper.go, rollout/trafficrouting/alb/alb.go), and the
example `rollout-examples/ping-pong`, which was run on real controllers.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap

from provider.advice.conversion.documents import commented, mapping
from provider.advice.preflight.manifests import at, name_of
from provider.model.records import HASH_LABEL

ALB = "alb.ingress.kubernetes.io/"
KEPT = ("scaleDownDelaySeconds", "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds")
"""Fields that mean the same in both strategies."""

CONVERTED = (
    "activeService", "previewService", "prePromotionAnalysis", "postPromotionAnalysis", "autoPromotionEnabled", *KEPT
)  # fmt: skip

ROLE = "alb-provider-role"
"""The label by which a fixed preview address finds green: Argo puts it on green's pods only."""


class CannotConvert(Exception):
    """The manifests are not what can be converted; the text says what is missing."""


@dataclass(slots=True)
class Conversion:
    """The converted documents, and what people must know: what was left out, and in which order to apply them."""

    documents: list[Any]
    notes: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


def convert(documents: list[CommentedMap], *, keep_preview: bool = False) -> Conversion:
    """Convert the one blue-green Rollout among the documents. Raises CannotConvert.

    `keep_preview`: a Service of its own keeps selecting green, so that a fixed preview address stays.
    """
    documents = deepcopy(documents)
    rollout = _only(documents, "Rollout", lambda one: at(one, "spec.strategy.blueGreen") is not None)
    blue_green = rollout["spec"]["strategy"]["blueGreen"]
    active, preview = blue_green.get("activeService"), blue_green.get("previewService")
    if not preview:
        raise CannotConvert("The Rollout has no previewService: add one behind its own listener rule first")
    ingress = _only(documents, "Ingress", lambda one: _names(one, active))
    found = Conversion(documents)
    root, port = f"{active.removesuffix('-active')}-root", _port(documents, active)
    _convert_templates(documents, blue_green, found)
    rollout["spec"]["strategy"] = _strategy(blue_green, ingress, root, port, found, keep_preview=keep_preview)
    _convert_ingress(ingress, active, preview, root, port, found, keep_preview=keep_preview)
    documents.append(_service(_find(documents, active), root, "Only a name for the rule's action: no target group"))
    if keep_preview:
        kept = _service(
            _find(documents, active), f"{preview}-fixed", "Selects green's pods by the label of canaryMetadata"
        )
        kept["spec"]["selector"][ROLE] = "green"
        documents.append(kept)
    found.order = _order(rollout, ingress, active, root)
    return found


def _only(documents: list[CommentedMap], kind: str, fits: Any) -> CommentedMap:
    some = [one for one in documents if one.get("kind") == kind and fits(one)]
    if len(some) == 1:
        return some[0]
    what = {"Rollout": "a blue-green Rollout", "Ingress": "the Ingress with the active Service"}[kind]
    number = "no" if not some else f"{len(some)} of"
    raise CannotConvert(f"There must be exactly one {what[2:] if kind == 'Rollout' else what[4:]}; found {number}")


def _names(ingress: Mapping[str, Any], service: str) -> bool:
    return any(at(path, "backend.service.name") == service for path in _paths(ingress))


def _paths(ingress: Mapping[str, Any]) -> list[Any]:
    return [path for rule in at(ingress, "spec.rules", []) for path in at(rule, "http.paths", [])]


def _find(documents: list[CommentedMap], service: str) -> CommentedMap:
    for one in documents:
        if one.get("kind") == "Service" and name_of(one) == service:
            return one
    raise CannotConvert(f"Service {service} is not among the manifests")


def _port(documents: list[CommentedMap], service: str) -> int:
    ports = at(_find(documents, service), "spec.ports", [])
    if len(ports) != 1:
        raise CannotConvert(
            f"Service {service} has {len(ports)} ports; convert the one behind the load balancer by hand"
        )
    return int(ports[0]["port"])


def _service(like: CommentedMap, name: str, comment: str) -> CommentedMap:
    """Return a Service like another one under a new name, without what Argo or an API server wrote."""
    spec, metadata = like["spec"], {"name": name}
    if "namespace" in like["metadata"]:
        metadata["namespace"] = like["metadata"]["namespace"]
    selector = {key: value for key, value in spec["selector"].items() if key != HASH_LABEL}
    ports = [{key: port[key] for key in ("name", "port", "targetPort") if key in port} for port in spec["ports"]]
    new = {"type": spec.get("type", "ClusterIP"), "selector": selector, "ports": ports}
    made = CommentedMap({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": new})
    made.yaml_set_start_comment(f"New. {comment}.")
    return made


def _strategy(
    blue_green: CommentedMap, ingress: CommentedMap, root: str, port: int, found: Conversion, *, keep_preview: bool
) -> CommentedMap:
    """Return `spec.strategy` as a canary."""
    pair = mapping(
        {"pingService": blue_green["previewService"], "pongService": blue_green["activeService"]},
        pongService="the active Service: Argo takes pong for stable at first",
    )
    alb = {"ingress": name_of(ingress), "rootService": root, "servicePort": port}
    canary = CommentedMap({"pingPong": pair, "trafficRouting": {"alb": alb}})
    for name in KEPT:
        if name in blue_green:
            canary[name] = blue_green[name]
    if keep_preview:
        canary["canaryMetadata"] = {"labels": {ROLE: "green"}}
        canary.yaml_add_eol_comment("for the fixed preview address", "canaryMetadata")
    canary["steps"] = _steps(blue_green)
    for name in blue_green:
        if name not in CONVERTED:
            found.notes.append(f"blueGreen.{name} was left out: a canary has no such field, or another meaning")
    strategy = CommentedMap({"canary": canary})
    strategy.yaml_set_comment_before_after_key(
        "canary", before="Was blueGreen. Ping-pong: the switch changes weights, and moves no target.", indent=4
    )
    return strategy


def _steps(blue_green: CommentedMap) -> list[CommentedMap]:
    """Return the steps: all of green, the gate, the switch, the watch."""
    steps = [mapping({"setCanaryScale": {"weight": 100}}, setCanaryScale="all green pods, before the first request")]
    if "prePromotionAnalysis" in blue_green:
        steps.append(mapping({"analysis": blue_green["prePromotionAnalysis"]}, analysis="was prePromotionAnalysis"))
    if blue_green.get("autoPromotionEnabled") is False:
        steps.append(mapping({"pause": CommentedMap()}, pause="was autoPromotionEnabled: false"))
    steps.append(mapping({"setWeight": 100}, setWeight="the switch: one change of weights"))
    if "postPromotionAnalysis" in blue_green:
        steps.append(mapping({"analysis": blue_green["postPromotionAnalysis"]}, analysis="was postPromotionAnalysis"))
    return steps


_STAGE = re.compile(r"&stage=afterSwitch|stage=afterSwitch&")


def _convert_templates(documents: list[CommentedMap], blue_green: CommentedMap, found: Conversion) -> None:
    """Drop `stage=afterSwitch`: within the steps of a canary green is before its switch, whatever its weight."""
    names = [at(one, "templateName") for one in at(blue_green, "postPromotionAnalysis.templates", [])]
    for name in names:
        known = [one for one in documents if one.get("kind") == "AnalysisTemplate" and name_of(one) == name]
        if not known:
            found.notes.append(f"Template {name} is not among the manifests: remove stage=afterSwitch from its queries")
        for metric in (metric for one in known for metric in at(one, "spec.metrics", [])):
            web = at(metric, "provider.web")
            if web is not None and _STAGE.search(str(web.get("url", ""))):
                web["url"] = type(web["url"])(_STAGE.sub("", web["url"]))
                commented(web, "url", "stage=afterSwitch removed: within a canary's steps it is before the switch")


def _convert_ingress(
    ingress: CommentedMap, active: str, preview: str, root: str, port: int, found: Conversion, *, keep_preview: bool
) -> None:
    """Let the production rule use an action with both target groups, and the preview rule go or follow green."""
    annotations = ingress["metadata"].setdefault("annotations", CommentedMap())
    # In the form that Argo itself writes, so that its first reconcile changes nothing.
    weights = [(preview, 0), (active, 100)]
    groups = [{"ServiceName": name, "ServicePort": str(port), "Weight": weight} for name, weight in weights]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    annotations[f"{ALB}actions.{root}"] = json.dumps(action, separators=(",", ":"))
    annotations.yaml_add_eol_comment("new; Argo writes the weights from now on", f"{ALB}actions.{root}")
    for path in _paths(ingress):
        service = at(path, "backend.service")
        if at(service, "name") == active:
            service["name"], service["port"] = root, {"name": "use-annotation"}
            commented(service, "name", f"was {active}: the rule forwards by weight")
        elif at(service, "name") == preview and keep_preview:
            service["name"] = f"{preview}-fixed"
            commented(service, "name", f"was {preview}, which is one of the pair now")
    if not keep_preview:
        _drop_rules(ingress, preview, found)


def _drop_rules(ingress: CommentedMap, preview: str, found: Conversion) -> None:
    """Remove what leads to the preview Service alone: both groups are in the production rule now."""
    for rule in list(at(ingress, "spec.rules", [])):
        paths = at(rule, "http.paths", [])
        for path in [one for one in paths if at(one, "backend.service.name") == preview]:
            paths.remove(path)
        if not paths:
            ingress["spec"]["rules"].remove(rule)
            host = rule.get("host", "(any host)")
            found.notes.append(f"The preview rule of {host} was removed; --keep-preview keeps its address")


def _order(rollout: CommentedMap, ingress: CommentedMap, active: str, root: str) -> list[str]:
    """Return the order of applying that never leaves production without a target."""
    name = name_of(rollout)
    rule = f"its rule forwards to the same target group of {active} with weight 100 as before"
    return [
        f"Wait until no version is rolling: `kubectl argo rollouts status {name}` says Healthy.",
        f"Apply the Services: {root} is new, and nothing uses it yet.",
        f"Apply Ingress {name_of(ingress)}: {rule}.",
        "Wait until the AWS Load Balancer Controller has reconciled it, and look whether requests still arrive.",
        f"Apply the AnalysisTemplates and Rollout {name} and no change of its pods: Argo takes over the weights.",
        "Deploy the next version: it is checked at weight 0, and the switch changes weights only.",
        "To go back before that: apply the Rollout as it was, then the Ingress.",
    ]
