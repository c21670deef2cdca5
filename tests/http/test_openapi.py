"""The OpenAPI description: it is true, and complete. Schemathesis asks what it allows, and what it does not."""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from provider.checks import QUESTIONS
from provider.http.openapi import describe
from provider.model.reasons import Phase, Reason
from tests import LONG
from tests.contract import is_declared

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=60 if LONG else 12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SHOP_WEB: dict[str, Any] = {"namespace": "shop", "rollout": "web"}


def about_an_existing_rollout(case):
    """Point a question at a Rollout that there is, else nearly all answers would be 404."""
    if case.method == "GET":
        case.query = {**case.query, **SHOP_WEB}
    elif isinstance(case.body, dict):
        case.body = {**case.body, **SHOP_WEB}
    return case


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_every_answer_is_as_described(app, question, method, tried):
    """Whatever is asked, right or wrong, status, media type and body are those of the description, and no defect."""
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[f"/v1/{question}"][method]
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    answers: Counter[int] = Counter()

    def try_one(case):
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        media_type = "application/json" if response.status_code == 200 else "application/problem+json"
        assert response.headers["content-type"] == [media_type]
        if response.status_code == 200:
            answer = response.json()
            assert is_declared(answer)
        answers[response.status_code] += 1

    # Which examples are drawn changes with any constant in our code, so what must be among them is asked by name.
    # tests/upstream/hypothesis-derandomize-other-modules.sh
    for parameters in (SHOP_WEB, {**SHOP_WEB, "nonsense": "1"}):
        try_one(operation.Case(query=parameters) if method == "GET" else operation.Case(body=parameters))
    assert answers.keys() == {200, 400}
    fuzzed = st.one_of(right.map(about_an_existing_rollout), right, wrong, wrong.map(about_an_existing_rollout))
    SETTINGS(given(fuzzed)(try_one))()

    tried("fuzzed requests", answers.total())
    assert answers.total() >= SETTINGS.max_examples


def test_the_description_is_valid_openapi(app):
    """The description is valid OpenAPI 3.1, and each of its operations can be asked."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)

    schema.validate()

    labels = {f"{method.upper()} {path}" for path in schema for method in schema[path]}
    assert schema.raw_schema["openapi"].startswith("3.1.")
    assert labels == {f"{method} /v1/{question}" for question in QUESTIONS for method in ("GET", "POST")} | {
        "POST /v1/handover",
        "GET /v1/explain",
        "GET /v1/history",
        "GET /v1/rollouts",
        "GET /v1/preflight",
    }


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_parameter_is_described(question):
    """GET and POST describe the same parameters: all of the query's, with a sentence each, and no others."""
    operations = describe()["paths"][f"/v1/{question}"]
    fields = QUESTIONS[question].query.model_fields.values()

    of_get = {parameter["name"]: parameter for parameter in operations["get"]["parameters"]}
    of_post = operations["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert of_get.keys() == of_post["properties"].keys() == {field.alias for field in fields}
    assert [name for name, one in of_get.items() if one["required"]] == of_post["required"] == ["namespace", "rollout"]
    assert {one["description"] for one in of_get.values()} == {field.description for field in fields}
    assert of_post["additionalProperties"] is False


def test_a_number_is_described_with_its_bounds_and_may_be_a_text():
    """A number has its bounds and its default in the description; in a POST it may come as a text, as Argo sends it."""
    operations = describe()["paths"]["/v1/target-health"]

    of_get = {parameter["name"]: parameter["schema"] for parameter in operations["get"]["parameters"]}[
        "minHealthyPercent"
    ]
    of_post = operations["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]

    assert of_get == {"type": "number", "minimum": 1, "maximum": 100, "default": 100}
    assert [schema["type"] for schema in of_post["minHealthyPercent"]["anyOf"]] == ["number", "string"]


def test_every_reason_is_described():
    """Each reason is in the description's closed list and in its text, with its phase and what it means."""
    description = describe()

    lines = {f"- `{reason}` ({reason.phase}): {reason.meaning}" for reason in Reason}
    assert set(description["components"]["schemas"]["Reason"]["enum"]) == set(Reason)
    assert lines - set(description["info"]["description"].splitlines()) == set()
    assert {reason.phase for reason in Reason} <= set(Phase)
