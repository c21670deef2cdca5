"""A blue-green Rollout converted to ping-pong: valid, clean, and everything else as it was."""

import json

import pytest
import yaml

from provider.advice.conversion.documents import NotYaml, dump, load
from provider.advice.conversion.ping_pong import CannotConvert, convert
from provider.advice.preflight import inspect
from provider.advice.preflight.manifests import at, parse
from tests import ROOT

EXAMPLE = "\n---\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "rollout-examples" / "blue-green").glob("*.yaml"))
)


def converted(text=EXAMPLE, **options):
    """The conversion of a text, as text and as objects by kind and name."""
    found = convert(load(text), **options)
    written = dump(found.documents)
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(written)}
    return found, written, objects


def test_preflight_finds_nothing():
    """The example with its known gap becomes a topology in which preflight finds nothing."""
    [before] = inspect(parse(EXAMPLE))
    [after] = inspect(parse(converted()[1]))

    assert [one.code for one in before.findings] == ["SwitchHasGap"]
    assert after.findings == ()
    assert after.setup.record.is_ping_pong


def test_the_strategy_is_what_the_example_of_ping_pong_has():
    """Pair, root and steps are those of a ping-pong canary; the active Service is pong, which is stable at first."""
    _, _, objects = converted()
    canary = objects["Rollout", "web"]["spec"]["strategy"]["canary"]

    assert canary["pingPong"] == {"pingService": "web-preview", "pongService": "web-active"}
    assert canary["trafficRouting"] == {"alb": {"ingress": "web", "rootService": "web-root", "servicePort": 80}}
    assert [next(iter(step)) for step in canary["steps"]] == ["setCanaryScale", "analysis", "setWeight", "analysis"]
    assert [at(step, "analysis.templates") for step in canary["steps"]][1::2] == [
        [{"templateName": "alb-gate"}],
        [{"templateName": "alb-after-switch"}],
    ]
    assert canary["scaleDownDelaySeconds"] == 900


def test_the_rule_forwards_as_before():
    """The rule has both target groups by number at weight 0; all of the weight stays where the rule named its port."""
    _, _, objects = converted()
    ingress = objects["Ingress", "web"]

    action = json.loads(ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/actions.web-root"])
    groups = action["ForwardConfig"]["TargetGroups"]
    weights = [(one["ServiceName"], one["ServicePort"], one["Weight"]) for one in groups]
    [rule] = ingress["spec"]["rules"]
    service = rule["http"]["paths"][0]["backend"]["service"]
    assert weights == [("web-preview", "80", 0), ("web-active", "80", 0), ("web-active", "http", 100)]
    assert service == {"name": "web-root", "port": {"name": "use-annotation"}}
    assert "rollouts-pod-template-hash" not in objects["Service", "web-root"]["spec"]["selector"]


def paths_that_differ(one, other, path=""):
    """Where two values differ, as paths."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from paths_that_differ(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from paths_that_differ(left, right, f"{path}[{number}]")
    elif one != other:
        yield path


def test_what_was_not_changed_is_as_it_was():
    """Original and converted objects differ in these places only, and comments survive."""
    _, written, objects = converted()
    before = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(EXAMPLE) if one}

    differ = {path for key, one in before.items() for path in paths_that_differ(one, objects[key], key[0])}
    assert differ == {
        "Rollout.spec.strategy.blueGreen",
        "Rollout.spec.strategy.canary",
        "Ingress.metadata.annotations.alb.ingress.kubernetes.io/actions.web-root",
        "Ingress.spec.rules",
        "AnalysisTemplate.spec.metrics[0].provider.web.url",
        "AnalysisTemplate.spec.metrics[1].provider.web.url",
    }
    assert objects.keys() - before.keys() == {("Service", "web-root")}
    for comment in ("# The gate before a switch: waits until green", "image: registry.example/web:1.0.0  # yours"):
        assert comment in written


def test_a_query_after_the_switch_loses_its_stage():
    """Within a canary's steps green is before its switch, so stage=afterSwitch would never be answered."""
    _, written, objects = converted()
    urls = [at(one, "provider.web.url") for one in objects["AnalysisTemplate", "alb-after-switch"]["spec"]["metrics"]]

    assert all("stage" not in url for url in urls)
    assert "stage=afterSwitch removed" in written
    assert (
        "stage=beforeSwitch" in at(objects["AnalysisTemplate", "alb-gate"], "spec.metrics")[0]["provider"]["web"]["url"]
    )


def test_a_fixed_preview_address_can_stay():
    """With keep_preview the preview host leads to a Service that selects green's pods by a label of canaryMetadata."""
    found, _, objects = converted(keep_preview=True)
    canary = objects["Rollout", "web"]["spec"]["strategy"]["canary"]
    hosts = {
        rule["host"]: at(rule["http"]["paths"][0], "backend.service.name")
        for rule in objects["Ingress", "web"]["spec"]["rules"]
    }

    label = canary["canaryMetadata"]["labels"]
    assert hosts["preview.shop.example.com"] == "web-preview-fixed"
    assert label.items() <= objects["Service", "web-preview-fixed"]["spec"]["selector"].items()
    assert found.notes == []


def test_what_cannot_be_converted_is_said():
    """A field without a place in a canary is left out and named; a manual promotion becomes a pause."""
    text = EXAMPLE.replace(
        "      autoPromotionEnabled: true\n", "      autoPromotionEnabled: false\n      previewReplicaCount: 1\n"
    )
    found, _, objects = converted(text)
    steps = objects["Rollout", "web"]["spec"]["strategy"]["canary"]["steps"]

    assert any(note.startswith("blueGreen.previewReplicaCount was left out") for note in found.notes)
    assert any("preview rule of preview.shop.example.com was removed" in note for note in found.notes)
    assert {"pause": {}} in steps


def test_the_order_begins_and_ends_safely():
    """The order begins with waiting, has the Ingress before the Rollout, and ends with the way back."""
    order = converted()[0].order

    assert order[0].startswith("Wait until no version is rolling")
    ingress, rollout = (
        next(n for n, step in enumerate(order) if word in step) for word in ("Ingress web", "Rollout web")
    )
    assert ingress < rollout
    assert order[-1].startswith("To go back")


def test_a_conversion_changes_nothing_that_it_was_given():
    """The documents that are read stay as they are."""
    documents = load(EXAMPLE)
    before = dump(documents)
    convert(documents)

    assert dump(documents) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("blueGreen:", "canary:"), "no blue-green Rollout"),
        (lambda text: text.replace("      previewService: web-preview  # yours\n", ""), "has no previewService"),
        (
            lambda text: text.replace("kind: Ingress", "kind: Gateway"),
            "No Ingress among the manifests has a rule for Service web-active",
        ),
        (lambda text: text.replace("kind: Service\n", "kind: Thing\n"), "Service web-active is not among"),
    ],
)
def test_what_is_missing_is_named(change, says):
    """Without what it needs nothing is converted, in a sentence."""
    with pytest.raises(CannotConvert) as refused:
        convert(load(change(EXAMPLE)))

    assert says in str(refused.value)


@pytest.mark.parametrize(("text", "says"), [("a: [", "line"), ("- 1\n", "not a Kubernetes object")])
def test_what_is_no_yaml(text, says):
    """Input that is no YAML of objects is refused."""
    with pytest.raises(NotYaml, match=says):
        load(text)
