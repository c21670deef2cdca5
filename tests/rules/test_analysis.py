"""What does a Rollout's gate ask? Its templates and AnalysisRuns, read as Argo reads them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks.parameters import parse_as
from provider.endpoints import endpoints
from provider.model.analysis import Analysis, AnalysisMetric, TemplateKey
from provider.rules.analysis import analyses_of, analysis_of_run, wanted_templates
from provider.rules.analysis_arguments import text_of
from tests.examples import NAMES, built

ENDPOINTS = frozenset(endpoints())
URL = "http://alb-provider:8080/v1/gate?namespace={{args.ns}}&rollout={{ args.name }}&podTemplateHash={{args.hash}}"
PASSED = [
    {"name": "ns", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    {"name": "name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
]


def metric(name: str = "gate", url: str = URL, **more: Any) -> dict[str, Any]:
    return {"name": name, "provider": {"web": {"url": url}}, **more}


def template(*metrics: Any, names: tuple[str, ...] = ("ns", "name", "hash"), **more: Any) -> dict[str, Any]:
    return {"spec": {"args": [{"name": name} for name in names], "metrics": list(metrics), **more}}


def rollout(analysis: Any, place: str = "prePromotionAnalysis", **more: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "labels": {"team": "a"}, "annotations": {}}
    status = {"currentPodHash": "new", "stableRS": "old"}
    return {"metadata": metadata, "spec": {"strategy": {"blueGreen": {place: analysis}}}, "status": status, **more}


def gate(*names: str, args: Any = PASSED, **more: Any) -> dict[str, Any]:
    return {"templates": [{"templateName": name} for name in names], "args": args, **more}


def ask(templates: Mapping[TemplateKey, Any], analysis: Any) -> Analysis:
    (found,) = analyses_of(rollout(analysis), templates, ENDPOINTS)
    return found


def only(analysis: Analysis) -> AnalysisMetric:
    (found,) = analysis.metrics
    return found


def local(**templates: Any) -> dict[TemplateKey, Any]:
    return {("AnalysisTemplate", name): one for name, one in templates.items()}


def test_a_gate_is_resolved_with_the_arguments_of_its_rollout():
    """The query has the values that Argo sends, and the limits that Argo applies."""
    spec = metric(interval="1m30s", count="{{args.n}}", failureLimit="5.0", initialDelay="0.5h")
    analysis = ask(
        local(gate=template(spec, names=("ns", "name", "hash", "n"))),
        gate("gate", args=[*PASSED, {"name": "n", "value": "7"}]),
    )
    found = only(analysis)
    assert analysis.problems == found.problems == ()
    assert found.query is not None
    assert found.query.endpoint == "gate"
    assert found.query.parameters == (("namespace", "shop"), ("rollout", "web"), ("podTemplateHash", "new"))
    assert (found.interval_seconds, found.initial_delay_seconds, found.count) == (90, 1800, 7)
    assert (found.failure_limit, found.consecutive_error_limit) == (0, 4)


def test_templates_are_merged_as_argo_merges_them():
    """Nested templates count, those of the namespace first; a template named twice counts once."""
    templates = {
        ("ClusterAnalysisTemplate", "all"): template(
            metric("all"), templates=[{"templateName": "inner"}, {"templateName": "all", "clusterScope": True}]
        ),
        ("AnalysisTemplate", "inner"): template(metric("inner"), args=[{"name": "extra", "value": "1"}]),
    }
    reference = {
        "templates": [{"templateName": "all", "clusterScope": True}, {"templateName": "inner"}],
        "args": PASSED,
    }
    analysis = ask(templates, reference)
    assert [one.name for one in analysis.metrics] == ["inner", "all"]
    assert analysis.templates == (("AnalysisTemplate", "inner"), ("ClusterAnalysisTemplate", "all"))
    assert {one.name: one.value for one in analysis.arguments} == {
        "extra": "1",
        "ns": "shop",
        "name": "web",
        "hash": "new",
    }
    assert wanted_templates(rollout(reference), {}) == set(templates)


def test_a_secret_is_not_known_and_beats_what_the_rollout_passes():
    """The placeholder stays, and the metric names the Secret that holds the value."""
    spec = template(metric(url="https://{{args.host}}/v1/gate?namespace=shop"), names=())
    spec["spec"]["args"] = [{"name": "host", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    found = only(ask(local(gate=spec), gate("gate", args=[{"name": "host", "value": "mine"}])))
    assert found.request is not None
    assert found.request.url.startswith("https://{{args.host}}/")
    assert [(one.name, one.source) for one in found.unknown_arguments] == [("host", "key k of Secret s")]
    assert found.query is not None
    assert found.problems == ()


@pytest.mark.parametrize(
    ("templates", "analysis", "problem"),
    [
        ({}, gate("gate"), "AnalysisTemplate gate does not exist"),
        (local(gate=template()), gate("gate"), "it has no metric"),
        (local(gate=template(metric())), gate(), "it names no template"),
        (local(gate=template(metric(), dryRun=[{"metricName": "*"}])), gate("gate"), "dryRun * names no metric"),
        (
            local(
                a=template(metric("a"), measurementRetention=[{"metricName": ".*", "limit": 60}]),
                b=template(metric("b"), measurementRetention=[{"metricName": ".*", "limit": 60}]),
            ),
            gate("a", "b"),
            "two rules of measurementRetention name .*",
        ),
        (local(a=template(metric()), b=template(metric())), gate("a", "b"), "2 metrics are named gate"),
        (local(gate=template(metric())), gate("gate", args=PASSED[:2]), "argument hash has no value"),
        (
            local(
                a=template(metric("a"), args=[{"name": "n", "value": "1"}]),
                b=template(metric("b"), args=[{"name": "n", "value": "2"}]),
            ),
            gate("a", "b"),
            "templates give argument n different values, the last in AnalysisTemplate b",
        ),
        (
            local(gate=template(metric())),
            gate("gate", args=[{"name": "ns", "valueFrom": {"fieldRef": {"fieldPath": "metadata.generation"}}}]),
            "argument ns: Argo reads no fieldPath metadata.generation",
        ),
    ],
)
def test_what_keeps_argo_from_running_an_analysis_is_named(templates, analysis, problem):
    """A malformed or missing part is a problem of the analysis, never an exception."""
    assert problem in map(str, ask(templates, analysis).problems)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (metric(url="http://x/v1/gate?a={{args.b}}"), "{{args.b}} cannot be resolved: there is no such argument"),
        (metric(interval="90"), "interval '90' is not a duration such as 10s or 5m"),
        ({"name": "gate"}, "it has no provider"),
        ({"name": "gate", "provider": {"web": {}}}, "it has no url"),
        ({"name": "gate", "provider": {"web": {"url": "http://[", "jsonBody": {}}}}, "a GET cannot have a body"),
        ({"name": "gate", "provider": {"web": {"url": "http://["}}}, "its url is not valid"),
    ],
)
def test_what_is_wrong_with_a_metric_is_named(spec, problem):
    """A metric that Argo cannot measure has a problem."""
    assert problem in map(str, only(ask(local(gate=template(spec)), gate("gate"))).problems)


def test_an_analysis_run_is_read_as_it_is():
    """An AnalysisRun has its arguments resolved; a body counts as parameters; a rule of dryRun is unanchored."""
    body = {"namespace": "shop", "minRequests": 3, "podTemplateHash": "{{args.hash}}"}
    web = {"url": "http://a/prefix/v1/errors", "method": "POST", "jsonBody": body}
    run = {
        "metadata": {"name": "web-new-2-3", "labels": {"rollout-type": "Step", "step-index": "3"}},
        "spec": {
            "args": [{"name": "hash", "value": "new"}],
            "metrics": [{"name": "alb-5xx", "provider": {"web": web}}, {"name": "other", "provider": {"job": {}}}],
            "dryRun": [{"metricName": "alb"}, {"metricName": "*"}],
            "measurementRetention": [{"metricName": ".*", "limit": 60}],
        },
    }
    analysis = analysis_of_run(run, ENDPOINTS)
    first, second = analysis.metrics
    assert (analysis.place, analysis.run) == ("steps[3]", "web-new-2-3")
    assert first.query is not None
    assert first.query.parameters == (("namespace", "shop"), ("minRequests", "3"), ("podTemplateHash", "new"))
    assert (first.is_dry_run, first.count) == (True, 1)
    assert (second.is_dry_run, second.provider, second.query) == (False, "job", None)
    assert analysis.queries == (first,)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4, "4"),
        (250_000, "250000"),
        (1_000_000, "1e+06"),
        (1_000_650_000, "1.00065e+09"),
        (0.25, "0.25"),
        (True, "true"),
    ],
)
def test_a_number_is_written_as_go_writes_it(value, text):
    """An argument from a field of a Rollout has an exponent from a million on."""
    assert text_of(value) == text


def test_every_example_asks_this_provider():
    """Each example's analyses are known, without a problem, and their queries are ones that the endpoint accepts."""
    number = 0
    for name in NAMES:
        objects = built(name)
        templates = {
            (one["kind"], one["metadata"]["name"]): one for one in objects if "AnalysisTemplate" in one.get("kind", "")
        }
        for one in (one for one in objects if one.get("kind") == "Rollout"):
            status = {"currentPodHash": "abc", "stableRS": "def"}
            for analysis in analyses_of({**one, "status": status}, templates, ENDPOINTS):
                assert not analysis.problems, name
                for asked in analysis.queries:
                    assert not asked.problems, name
                    assert asked.query is not None
                    parse_as(endpoints()[asked.query.endpoint].query, asked.query.endpoint, asked.query.parameters)
                    number += 1
    assert number > 10


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([URL, "{{args.ns}}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "name",
                        "metrics",
                        "args",
                        "templates",
                        "templateName",
                        "value",
                        "valueFrom",
                        "fieldRef",
                        "fieldPath",
                    ),
                    *("provider", "web", "url", "jsonBody", "job", "spec", "dryRun", "metricName", "count", "interval"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(analysis=_JSON, spec=_JSON)
def test_nothing_malformed_raises(analysis, spec):
    """Whatever a template, a Rollout or an AnalysisRun holds, there is an answer."""
    templates = {("AnalysisTemplate", "gate"): {"spec": spec}, ("AnalysisTemplate", ""): spec}
    for one in (analysis, {**gate("gate"), "args": analysis}):
        analyses_of(rollout(one), templates, ENDPOINTS)
    analysis_of_run({"metadata": analysis, "spec": spec}, ENDPOINTS)
