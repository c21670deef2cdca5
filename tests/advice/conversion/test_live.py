"""A running Rollout is converted from what people wrote of it."""

import copy
from typing import Any

import yaml

from provider.advice.conversion.documents import load
from provider.advice.conversion.live import text_of
from provider.advice.conversion.ping_pong import convert
from provider.advice.preflight.manifests import Manifests, parse
from provider.advice.preflight.setup import Setup, setups
from provider.model.records import HASH_LABEL
from tests.advice.conversion.test_ping_pong import EXAMPLE


def live() -> Setup:
    """The objects of the example as an API server returns them, with what kubectl, Argo and itself add."""
    objects = copy.deepcopy(dict[Any, Any](parse(EXAMPLE).objects))
    for one in objects.values():
        one["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": [{}]}
        one["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    rollout = objects["Rollout", "shop", "web"]
    rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"] = "3"
    rollout["status"] = {"stableRS": "abc"}
    for name in ("web-active", "web-preview"):
        service = objects["Service", "shop", name]
        service["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "None"}
        service["spec"]["selector"] = {**service["spec"]["selector"], HASH_LABEL: "abc"}
        del service["apiVersion"]  # the items of a list lack it
    [setup] = setups(Manifests(objects, is_live=True))
    return setup


def test_what_machines_wrote_is_left_out():
    """The text has exactly the objects that people wrote, but for those that are not converted."""
    written = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(EXAMPLE) if one}
    read = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text_of(live()))}

    assert read == {key: one for key, one in written.items() if key[0] != "Namespace"}


def test_it_is_converted():
    """What is read live becomes the same canary as what is read from files."""
    strategies = [
        next(one for one in convert(load(text)).documents if one["kind"] == "Rollout")["spec"]["strategy"]
        for text in (text_of(live()), EXAMPLE)
    ]

    assert strategies[0] == strategies[1]
