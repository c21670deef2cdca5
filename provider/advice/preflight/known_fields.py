"""The fields that Argo knows in an AnalysisTemplate: the CRD's, without those of other metric providers.

Source: CRD analysistemplates.argoproj.io of Argo Rollouts 1.10.1; `basicAuth` is of its main branch (August 2026).
"""

from collections.abc import Iterator, Mapping
from typing import Any

Tree = Mapping[str, "Tree | None"]
"""Names with what may be below them; None where Argo takes anything, or where another provider's fields begin."""


def _names(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names)


SPEC: Tree = {
    "args": {
        **_names("name", "value"),
        "valueFrom": {"fieldRef": {"fieldPath": None}, "secretKeyRef": _names("key", "name")},
    },
    "dryRun": _names("metricName"),
    "measurementRetention": _names("limit", "metricName"),
    "templates": _names("clusterScope", "templateName"),
    "metrics": {
        **_names("name", "interval", "initialDelay", "successCondition", "failureCondition"),
        **_names("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit"),
        "provider": {
            **_names("cloudWatch", "datadog", "graphite", "influxdb", "job", "kayenta", "newRelic", "plugin"),
            **_names("prometheus", "skywalking", "wavefront"),
            "web": {
                **_names("url", "method", "body", "jsonBody", "timeoutSeconds", "jsonPath", "insecure"),
                "headers": _names("key", "value"),
                "authentication": {
                    "basicAuth": _names("password", "username"),
                    "oauth2": _names("clientId", "clientSecret", "scopes", "tokenUrl"),
                    "sigv4": _names("profile", "region", "roleArn"),
                },
            },
        },
    },
}


def unknown(node: Any, known: Tree = SPEC, path: str = "spec") -> Iterator[str]:
    """Yield the path of each field below a node that Argo does not know."""
    if isinstance(node, list):
        for number, one in enumerate(node):
            yield from unknown(one, known, f"{path}[{number}]")
    elif isinstance(node, Mapping):
        for name, below in node.items():
            if name not in known:
                yield f"{path}.{name}"
            else:
                more = known[name]
                yield from unknown(below, more, f"{path}.{name}") if more is not None else ()
