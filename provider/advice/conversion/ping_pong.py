"""Converts a blue-green Rollout with its Services, Ingress and templates into a ping-pong canary used like blue-green.

The two Services stay, and with them their target groups: the active one becomes pong, which Argo takes for stable while
`status.canary.stablePingPong` is empty, so the first reconcile changes no selector. A third Service is only a name for
the action of the listener rule, whose weights Argo writes.
Sources: Argo Rollouts 1.10.1 (rollout/trafficrouting/service_helper.go, rollout/trafficrouting/alb/alb.go), and the
example `rollout-examples/ping-pong`, which was run on real controllers.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap

from provider.advice.conversion.documents import commented, dump, mapping
from provider.advice.conversion.order import Pair, action, order
from provider.advice.conversion.proof import BY_BACKEND, obstacles, production_ingresses
from provider.advice.preflight import inspect
from provider.advice.preflight.manifests import NotManifests, at, name_of, parse
from provider.advice.preflight.routing import ALB, backends_of
from provider.advice.preflight.setup import Setup, setups
from provider.model.records import HASH_LABEL
from provider.rules.analysis import wanted_templates

KEPT = ("scaleDownDelaySeconds", "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds", "antiAffinity")
"""Fields that mean the same in both strategies."""

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


def convert(
    documents: list[CommentedMap], *, keep_preview: bool = False, namespace: str = "default", rollout: str | None = None
) -> Conversion:
    """Convert the one blue-green Rollout among the documents. Raises CannotConvert with a sentence for each obstacle.

    `keep_preview`: a Service of its own keeps selecting green, so that a fixed preview address stays. `rollout` picks
    one of several.
    """
    documents = deepcopy(documents)
    setup = _setup(documents, namespace, rollout)
    problems = list(dict.fromkeys(obstacles(setup, keep_preview=keep_preview)))
    if problems:
        raise CannotConvert(". ".join(problems))
    found = Conversion(documents)
    production = production_ingresses(setup)[0]
    manifest = _document(documents, "Rollout", setup.name, setup.namespace)
    ingress = _document(documents, "Ingress", name_of(production), setup.namespace)
    service = _document(documents, "Service", setup.production, setup.namespace)
    blue_green = manifest["spec"]["strategy"]["blueGreen"]
    written = next(backend.port for backend in backends_of(production) if backend.name == setup.production)
    root, port = f"{setup.production.removesuffix('-active')}-root", int(service["spec"]["ports"][0]["port"])
    pair = Pair(setup.production, str(blue_green["previewService"]), root, port, written)
    if setup.find("Service", root) is not None:
        raise CannotConvert(f"Service {root} exists already, and the name is needed for the rule's action")
    _convert_templates(documents, setup)
    manifest["spec"]["strategy"] = _strategy(blue_green, name_of(ingress), pair, found, keep_preview=keep_preview)
    _convert_ingress(ingress, pair, found, keep_preview=keep_preview)
    documents.append(_service(service, root, "Only a name for the rule's action: no target group"))
    if keep_preview:
        kept = _service(service, f"{pair.preview}-fixed", "Selects green's pods by the label of canaryMetadata")
        kept["spec"]["selector"][ROLE] = "green"
        documents.append(kept)
    found.order = order(setup.name, name_of(ingress), pair)
    _require_no_new_finding(setup, documents)
    return found


def _setup(documents: list[CommentedMap], namespace: str, rollout: str | None) -> Setup:
    """Return the Rollout to convert. Raises CannotConvert."""
    try:
        manifests = parse(dump(documents), namespace)
    except NotManifests as error:
        raise CannotConvert(str(error)) from error
    every = [one for one in setups(manifests) if one.blue_green is not None and rollout in {None, one.name}]
    if len(every) != 1:
        names = ", ".join(one.name for one in every)
        raise CannotConvert(
            f"The manifests have several blue-green Rollouts ({names}): pick one with --rollout"
            if every
            else f"There is no blue-green Rollout{f' {rollout}' if rollout else ''} among the manifests"
        )
    wrong = [f"{key[0]} {key[2]}: {error.message}" for key, one in manifests.sources.items() for error in one.errors]
    if wrong:
        raise CannotConvert(". ".join(wrong[:5]))
    return every[0]


def _document(documents: list[CommentedMap], kind: str, name: str, namespace: str) -> CommentedMap:
    """Return a document. Raises CannotConvert for an item of a List."""
    for document in documents:
        is_near = at(document, "metadata.namespace", namespace) == namespace
        if document.get("kind") == kind and name_of(document) == name and is_near:
            return document
    raise CannotConvert(f"{kind} {name} is an item of a List: write it as a document of its own first")


def _require_no_new_finding(setup: Setup, documents: list[CommentedMap]) -> None:
    """Refuse a result in which preflight finds what it did not find before. Raises CannotConvert."""
    before = [one for one in inspect(setup.manifests) if one.setup.name == setup.name]
    after = [one for one in inspect(parse(dump(documents), setup.namespace)) if one.setup.name == setup.name]
    known = {finding.code for report in before for finding in report.findings}
    new = [finding for report in after for finding in report.findings if finding.code not in known]
    if new:
        told = "; ".join(f"{finding.code}: {finding.says}" for finding in new)
        raise CannotConvert(f"The result would have findings that the manifests do not have ({told}). Convert by hand")


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
    blue_green: CommentedMap, ingress: str, pair: Pair, found: Conversion, *, keep_preview: bool
) -> CommentedMap:
    """Return `spec.strategy` as a canary."""
    services = mapping(
        {"pingService": blue_green["previewService"], "pongService": blue_green["activeService"]},
        pongService="the active Service: Argo takes pong for stable at first",
    )
    alb = {"ingress": ingress, "rootService": pair.root, "servicePort": pair.port}
    canary = CommentedMap({"pingPong": services, "trafficRouting": {"alb": alb}})
    for name in KEPT:
        if name in blue_green:
            canary[name] = blue_green[name]
    if keep_preview:
        canary["canaryMetadata"] = {"labels": {ROLE: "green"}}
        canary.yaml_add_eol_comment("for the fixed preview address", "canaryMetadata")
    canary["steps"] = _steps(blue_green)
    if "previewReplicaCount" in blue_green:
        found.notes.append("blueGreen.previewReplicaCount was left out: green gets all of its pods before the gate")
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


_STAGE = re.compile(r"&stage=afterSwitch\b|\bstage=afterSwitch(?:&|$)")


def _convert_templates(documents: list[CommentedMap], setup: Setup) -> None:
    """Drop `stage=afterSwitch`: within the steps of a canary green is before its switch, whatever its weight."""
    analysis = at(setup.blue_green, "postPromotionAnalysis", {})
    rollout = {"spec": {"strategy": {"blueGreen": {"postPromotionAnalysis": analysis}}}}
    for kind, name in wanted_templates(rollout, setup.templates):
        template = _document(documents, kind, name, setup.namespace)
        for metric in at(template, "spec.metrics", []):
            web = at(metric, "provider.web")
            if web is not None and _STAGE.search(str(web.get("url", ""))):
                web["url"] = type(web["url"])(_STAGE.sub("", web["url"]))
                commented(web, "url", "stage=afterSwitch removed: within a canary's steps it is before the switch")
            if at(web, "jsonBody.stage") == "afterSwitch":
                del web["jsonBody"]["stage"]


def _convert_ingress(ingress: CommentedMap, pair: Pair, found: Conversion, *, keep_preview: bool) -> None:
    """Let the production rule use an action with both target groups, and the preview rule go or follow green."""
    annotations = ingress["metadata"].setdefault("annotations", CommentedMap())
    active, preview, root = pair.active, pair.preview, pair.root
    annotations[f"{ALB}actions.{root}"] = action(pair)
    annotations.yaml_add_eol_comment("new; Argo writes the weights from now on", f"{ALB}actions.{root}")
    renamed = {active: root} | ({preview: f"{preview}-fixed"} if keep_preview else {})
    for old, new in renamed.items():
        for prefix in BY_BACKEND:
            if f"{ALB}{prefix}{old}" in annotations:
                annotations[f"{ALB}{prefix}{new}"] = annotations.pop(f"{ALB}{prefix}{old}")
                annotations.yaml_add_eol_comment(f"was {prefix}{old}: it follows its rule", f"{ALB}{prefix}{new}")
    for path in _paths(ingress):
        service = at(path, "backend.service")
        if at(service, "name") == active:
            service["name"], service["port"] = root, {"name": "use-annotation"}
            commented(service, "name", f"was {active}: the rule forwards by weight")
        elif at(service, "name") == preview and keep_preview:
            service["name"] = f"{preview}-fixed"
            commented(service, "name", f"was {preview}, which is one of the pair now")
    if not keep_preview:
        for prefix in BY_BACKEND:
            annotations.pop(f"{ALB}{prefix}{preview}", None)
        _drop_rules(ingress, preview, found)


def _paths(ingress: Mapping[str, Any]) -> list[Any]:
    return [path for rule in at(ingress, "spec.rules", []) for path in at(rule, "http.paths", [])]


def _drop_rules(ingress: CommentedMap, preview: str, found: Conversion) -> None:
    """Remove what leads to the preview Service alone: both groups are in the production rule now."""
    for rule in list(at(ingress, "spec.rules", [])):
        paths = at(rule, "http.paths", [])
        dropped = [one for one in paths if at(one, "backend.service.name") == preview]
        for path in dropped:
            paths.remove(path)
        if dropped:
            host = rule.get("host", "(any host)")
            found.notes.append(f"The preview rule of {host} was removed; --keep-preview keeps its address")
        if dropped and not paths:
            ingress["spec"]["rules"].remove(rule)
