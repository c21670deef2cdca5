"""The OpenAPI description, generated from the checks, their query models, the answer and the reasons."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from provider import __version__
from provider.advice.preflight import live as preflight
from provider.checks.parameters import Namespace, Subject
from provider.endpoints import endpoints
from provider.history import explanation, overview, recall
from provider.http.problems import MEDIA_TYPE
from provider.model.answer import Answer
from provider.model.reasons import Phase, Reason

JSON = "application/json"


class History(BaseModel):
    """What Argo was told about a Rollout, the newest first, and what one replica saw of its switches."""

    model_config = ConfigDict(extra="forbid")

    namespace: str
    rollout: str
    rememberedSince: str = Field(description="Since when this replica sees switches: its start.")  # noqa: N815 - on the wire
    analysisRuns: list[dict[str, Any]] = Field(  # noqa: N815 - on the wire
        description="AnalysisRuns: name, analysis, podTemplateHash, revision, phase, message, terminated, startedAt, "
        "completedAt, metrics (name, endpoint, phase, counts, measurements)."
    )
    changes: list[dict[str, Any]] = Field(
        description="Measurements that differed from the one before: at, analysisRun, metric, endpoint, phase, "
        "message, number, podTemplateHash, revision."
    )
    versions: list[dict[str, Any]] = Field(
        description="ReplicaSets: podTemplateHash, revision, images, desiredCount, availableCount, createdAt, "
        "scaleDownAt."
    )
    conditions: list[dict[str, Any]] = Field(description="Argo's conditions: type, isTrue, reason, message, at.")
    switches: list[dict[str, Any]] = Field(
        description="Switches that this replica saw: podTemplateHash, switchedAt, passPreceded, lookCount, "
        "withoutHealthyTargetAtLeastSeconds, withoutHealthyTargetAtMostSeconds, errors, seenBy."
    )
    notRead: list[str] = Field(description="What could not be read, a sentence each.")  # noqa: N815 - on the wire


class Explanation(BaseModel):
    """Why a Rollout moves or not."""

    model_config = ConfigDict(extra="forbid")

    namespace: str
    rollout: str
    state: str = Field(description="The state of the Rollout in one word.")
    action: str = Field(description="What it asks of people: none, wait or fix.")
    sentence: str = Field(description="What the state means, and what Argo will do.")
    commands: list[dict[str, str]] = Field(description="What a person can do: command, effect.")
    argo: dict[str, Any] = Field(description="What Argo says of the Rollout.")
    phase: Phase | None = Field(default=None, description="The phase of the worst answer.")
    reason: Reason | None = Field(default=None, description="Its reason.")
    message: str | None = Field(default=None, description="Its sentence.")
    queries: list[dict[str, Any]] = Field(
        description="What Argo asks, each with the answer now: analysis, analysisRun, metric, endpoint, parameters, "
        "url, method, phase, reason, message, observed, note."
    )
    history: History
    notRead: list[str] = Field(description="What could not be read, or keeps Argo from asking.")  # noqa: N815 - on the wire


class Rollouts(BaseModel):
    """The Rollouts that the provider may list."""

    model_config = ConfigDict(extra="forbid")

    rollouts: list[dict[str, Any]] = Field(
        description="Those that need a person first: namespace, rollout, state, action, sentence, commands, phase, "
        "revision, images, analysisRuns, weight."
    )


class Preflight(BaseModel):
    """What a Rollout's topology will do at its switch."""

    model_config = ConfigDict(extra="forbid")

    namespace: str
    rollout: str
    findings: list[dict[str, Any]] = Field(
        description="The worst first: code, severity, objects, says, todo, more (docs/preflight.md)."
    )
    notChecked: list[dict[str, str]] = Field(  # noqa: N815 - on the wire
        description="Kinds that could not be read, each with a sentence: the findings that need them are left out."
    )
    forecast: dict[str, Any] | None = Field(
        default=None,
        description="The switch: withoutHealthyTargetSeconds and untilAllHealthySeconds (best, expected, worst), "
        "podCount, healthCheckIntervalSeconds, registrationSeconds, requestsPerSecond, requestsAtRiskInGap, "
        "requestsPerTargetPerSecond, requestsAtRiskInRamp, timeline, ramp, remedies, lastSwitch.",
    )


class ParameterProblem(BaseModel):
    """One parameter at fault."""

    parameter: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457: what is wrong with a request, or with the provider itself."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ParameterProblem] = []


_FOR_PEOPLE: tuple[tuple[Any, str, type[BaseModel]], ...] = (
    (recall, "History", Subject),
    (explanation, "Explanation", Subject),
    (overview, "Rollouts", Namespace),
    (preflight, "Preflight", preflight.Query),
)
"""What gives no verdict: the module of each endpoint, the schema of its answer, and its parameters."""


@cache
def describe() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    _, schemas = models_json_schema(
        [
            *((model, "serialization") for model in (History, Explanation, Rollouts, Preflight)),
            (ProblemDocument, "validation"),
        ],
        ref_template="#/components/schemas/{model}",
    )
    _, answer = msgspec.json.schema_components([Answer], ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ALB provider",
            "version": __version__,
            "description": "Tells Argo Rollouts whether the AWS load balancer considers the new version healthy.\n\n"
            + "\n".join(f"- `{reason}` ({reason.phase}): {reason.meaning}" for reason in Reason),
        },
        "paths": {
            f"/v1/{name}": _path(name, endpoint.about, endpoint.query, endpoint.methods)
            for name, endpoint in endpoints().items()
        }
        | {
            f"/v1/{module.NAME}": _read(module.NAME, str(module.__doc__), schema, query)
            for module, schema, query in _FOR_PEOPLE
        },
        "components": {
            "schemas": schemas["$defs"] | answer,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],  # only where PROVIDER_TOKENS_FILE is set
    }


def _path(name: str, about: str, query: type[BaseModel], methods: Iterable[str]) -> dict[str, Any]:
    summary, _, description = about.strip().partition("\n\n")
    common = {"summary": summary, "description": description, "responses": _responses()}
    fields = _fields(query)
    operations = {
        "GET": {"operationId": f"get-{name}", "parameters": [_parameter(*field) for field in fields], **common},
        "POST": {"operationId": f"post-{name}", "requestBody": _body(fields), **common},
    }
    return {method.lower(): operations[method] for method in methods}


def _read(name: str, about: str, schema: str, query: type[BaseModel]) -> dict[str, Any]:
    """Describe a path about a Rollout that gives no verdict, and so has no POST."""
    path = _path(name, about, query, ("GET",))["get"]
    content = {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    ok = {"description": "What is known of the Rollout.", "content": content}
    return {"get": {**path, "responses": {**path["responses"], "200": ok}}}


def _fields(query: type[BaseModel]) -> list[tuple[str, dict[str, Any], bool]]:
    """Return each parameter's name, its schema without Python's `null`, and whether it is required."""
    schema = query.model_json_schema(by_alias=True)
    fields = []
    for name, field in schema["properties"].items():
        optional: dict[str, Any] = next((part for part in field.get("anyOf", ()) if part.get("type") != "null"), {})
        plain = {**{key: value for key, value in field.items() if key not in {"anyOf", "title"}}, **optional}
        if plain.get("default", "") is None:
            del plain["default"]
        fields.append((name, plain, name in schema.get("required", ())))
    return fields


def _parameter(name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:  # noqa: FBT001 - a field's triple
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "required": required, "description": schema["description"], "schema": rest}


def _body(fields: list[tuple[str, dict[str, Any], bool]]) -> dict[str, Any]:
    """Describe the body. A number may be a string, since Argo's templates can send nothing else."""
    properties = {
        name: {"anyOf": [schema, {"type": "string"}]} if schema["type"] in {"number", "integer"} else schema
        for name, schema, _ in fields
    }
    required = [name for name, _, is_required in fields if is_required]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"required": True, "content": {JSON: {"schema": schema}}}


_PROBLEMS = {
    "400": "A parameter is missing, unknown, malformed or empty, or the request is not valid HTTP.",
    "401": "The provider requires a bearer token, and the request has no valid one.",
    "403": "The token may not query this namespace, or handover is disabled.",
    "404": "There is no such Rollout.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
    "500": "A defect of the provider.",
    "502": "Kubernetes cannot be read: only of what explains Rollouts to people, never of a query.",
    "503": "The provider is overloaded or stopping; see Retry-After.",
}


def _responses() -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    answer = {
        "description": "The answer to every valid query about a Rollout, also if Kubernetes or AWS cannot be read.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Answer"}}},
    }
    refusals = {status: {"description": text, "content": problem} for status, text in _PROBLEMS.items()}
    return {"200": answer, **refusals}
