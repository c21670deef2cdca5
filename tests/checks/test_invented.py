"""A check that nobody has heard of works everywhere: what is known of its parameter stands where it is declared."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from provider.advice.preflight import inspect
from provider.advice.preflight.manifests import Manifests
from provider.checks import QUESTIONS, green_pods, replicas
from provider.checks.parameters import Parameter, accepted_text, parse_as
from provider.checks.question import Check, parse
from provider.checks.strictness import LOWER, Ordered
from provider.cli.check import check as checks
from provider.endpoints import endpoints
from provider.http.floors import Floors
from provider.http.openapi import describe
from provider.model.errors import BadQuery
from tests.app import create_app
from tests.repository import documentation

ADDRESS = "http://alb-provider.alb-provider.svc:8080/v1/patience?namespace=shop&rollout=web"


class Query(green_pods.Query):
    """The parameters of `patience`."""

    max_sighs: int | None = Parameter(
        default=None, ge=0, le=9, stricter=LOWER, description="How many sighs are too many."
    )
    mood: Literal["any", "good"] = Parameter(default="any", stricter=Ordered(("any", "good")), description="Its mood.")
    hour: Literal["never,late", "dawn"] | None = Parameter(default=None, description="When it sighs.")
    waits: int = Parameter(default=2, ge=2, description="How often it waits.")


@pytest.fixture(autouse=True)
def invented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A check in the list of all, as its row would put it there."""
    check = Check(
        name="patience",
        about="Is green patient?\n\nSuccessful once its replicas are available.",
        charts="availablePercent",
        asks_aws=lambda _query: False,
        query=Query,
        gather=replicas.gather,
        judge=replicas.judge,
    )
    monkeypatch.setitem(QUESTIONS, "patience", check)
    describe.cache_clear()
    yield
    describe.cache_clear()


def test_it_answers_over_http_and_has_its_page(scene, sources, metrics):
    """It has a route, and its answer is on the page of a Rollout whose gate asks it."""
    scene.template(query="patience?maxSighs=3")
    scene.analyse()
    client = create_app(sources, metrics).test_client()

    answer = client.get("/v1/patience?namespace=shop&rollout=web&maxSighs=3")
    page = client.get("/rollouts/shop/web", headers={"Accept": "text/html"})

    assert answer.get_json()["reason"] == "ReplicasAvailable"
    assert "patience" in page.text


def test_openapi_and_the_documentation_describe_it():
    """Its path, its parameter with the range, and its row in the table of parameters are there."""
    (sighs,) = [
        parameter
        for parameter in describe()["paths"]["/v1/patience"]["get"]["parameters"]
        if parameter["name"] == "maxSighs"
    ]

    assert sighs["schema"] == {"type": "integer", "minimum": 0, "maximum": 9}
    assert any("`maxSighs`" in row and "patience" in row for row in documentation.parameters())


def test_the_command_line_has_its_flag():
    """`check patience` exists, with its flag, its range and its description."""
    shown = CliRunner().invoke(checks, ["patience", "--help"]).output

    assert "--max-sighs" in shown
    assert "0 to 9" in shown
    assert "one of any, good; default: any" in " ".join(shown.split())


def test_every_parameter_has_a_text_that_it_accepts():
    """What stands for an unknown argument is valid for its parameter, of every endpoint, whatever the declaration."""
    for name, endpoint in endpoints().items():
        fields = [(str(field.alias), accepted_text(field)) for field in endpoint.query.model_fields.values()]

        assert parse_as(endpoint.query, name, fields)


@pytest.mark.parametrize(
    ("floor", "given", "refused"),
    [
        ("maxSighs=2", {"maxSighs": "3"}, True),
        ("maxSighs=2", {}, True),
        ("mood=good", {}, True),
        ("mood=good", {"mood": "good"}, False),
    ],
)
def test_its_parameter_can_have_a_floor(tmp_path, floor, given, refused):
    """A floor of its parameter refuses a looser query, also one that leaves it out."""
    (tmp_path / "floors").write_text(f"* {floor}\n")
    floors = Floors(tmp_path / "floors")
    query = parse(QUESTIONS["patience"], {"namespace": "shop", "rollout": "web", **given}.items())

    if not refused:
        floors.require(query)
        return
    with pytest.raises(BadQuery):
        floors.require(query)


@pytest.mark.parametrize(
    ("parameters", "codes"),
    [
        ("&maxSighs={{args.x}}&mood={{args.y}}", {"ArgumentLoosensGate"}),
        ("&maxSighs=10", {"QueryRefused"}),
        ("&mood=sad", {"QueryRefused"}),
    ],
)
def test_preflight_knows_it(parameters, codes):
    """A metric that asks it is a gate, its arguments are taken for values that it accepts, and its limits hold."""
    (report,) = inspect(Manifests(objects(parameters)))
    found = {finding.code for finding in report.findings}

    assert found & {"NoGate", "QueryRefused", "ArgumentLoosensGate"} == codes


def objects(parameters: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """A blue-green Rollout with a gate of its own, by kind, namespace and name."""
    metric = {
        "name": "patience",
        "successCondition": 'result[1] == "Successful"',
        "failureCondition": 'result[1] == "Failed"',
        "provider": {"web": {"url": ADDRESS + parameters, "insecure": True, "jsonPath": "{$.measurement}"}},
    }
    args = [{"name": "x"}, {"name": "y"}]
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ClusterAnalysisTemplate",
        "metadata": {"name": "gate"},
        "spec": {"args": args, "metrics": [metric]},
    }
    analysis = {"templates": [{"templateName": "gate", "clusterScope": True}]}
    blue_green = {"activeService": "web-active", "previewService": "web-preview", "prePromotionAnalysis": analysis}
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"strategy": {"blueGreen": blue_green}},
    }
    return {("Rollout", "shop", "web"): rollout, ("ClusterAnalysisTemplate", "", "gate"): template}
