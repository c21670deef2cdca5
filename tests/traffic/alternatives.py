"""What people use instead of the provider, on the same switches, each with the settings of its own documentation."""

import math
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

from tests.real.api import Manifest
from tests.real.build import BUILT
from tests.real.scenarios import without_gates
from tests.traffic.scenarios import promote, ungated
from tests.traffic.trial import Scenario, Trial
from tests.world.cluster.ingresses import load_balancer_name

GREENS = ("healthy", "one pod in ten sick", "cold", "8 % of 5xx")

WRONG = {"healthy": "aborted", "cold": "aborted", "one pod in ten sick": "promoted", "8 % of 5xx": "promoted"}
"""The wrong outcome for each kind of green. A cold one is slow at first and healthy then."""

CLI_VERSION = "1.46.3"


def aws_cli() -> Path:
    """Return the folder of the program `aws`, installed from PyPI beside the real parts. Raises CalledProcessError."""
    folder = BUILT / f"awscli-{CLI_VERSION}"
    if not (folder / "bin" / "aws").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"awscli=={CLI_VERSION}"], check=True)
    return folder / "bin"


def documented_deadline(manifest: Manifest) -> None:
    """Give up after Argo's default of 600 s, and abort then."""
    if manifest["kind"] == "Rollout":
        manifest["spec"] |= {"progressDeadlineSeconds": 600, "progressDeadlineAbort": True}


def with_cloudwatch(trial: Trial) -> None:
    """Argo's own CloudWatch provider after the switch: at most 1 % of 5xx by targets, as its page shows.

    The page divides errors by requests; the embedded CloudWatch has no metric math, so the limit is 1 % of a minute's
    constant rate. A group without 5xx has no points, which passes. `count` is ours: it watches for as long as our own
    analysis does; without it the metric never ends.
    Argo 1.9.1: the client of 1.10.1 speaks a protocol (Smithy RPC v2 CBOR) that the embedded CloudWatch does not.
    """
    namespace = trial.stage.namespace
    balancer = trial.cast.world.aws.load_balancer(load_balancer_name(namespace, "web"))
    group = trial.cast.controller.arns(namespace)["web-active"]
    dimensions = [
        {"name": "LoadBalancer", "value": balancer.partition(":loadbalancer/")[2]},
        {"name": "TargetGroup", "value": group.rpartition(":")[2]},
    ]
    metric = {"namespace": "AWS/ApplicationELB", "metricName": "HTTPCode_Target_5XX_Count", "dimensions": dimensions}
    query = {"id": "errors", "metricStat": {"metric": metric, "period": 60, "stat": "Sum"}}
    condition = f"all(result[0].Values, {{# <= {math.ceil(trial.size.rate * 60 * 0.01)}}})"
    provider = {"cloudWatch": {"interval": "5m", "metricDataQueries": [query]}}
    settings = {"interval": "1m", "count": 9, "failureLimit": 3, "successCondition": condition, "provider": provider}
    _promote_with(trial, "postPromotionAnalysis", settings)


def with_job(trial: Trial) -> None:
    """A Job before the switch that waits with the AWS CLI until every target of the preview group is healthy."""
    group = trial.cast.controller.arns(trial.stage.namespace)["web-preview"]
    command = ["aws", "elbv2", "wait", "target-in-service", "--target-group-arn", group]
    container = {"name": "wait", "image": "public.ecr.aws/aws-cli/aws-cli:2", "command": command}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    _promote_with(
        trial, "prePromotionAnalysis", {"provider": {"job": {"spec": {"backoffLimit": 1, "template": template}}}}
    )


def _promote_with(trial: Trial, when: str, metric: Manifest) -> None:
    """Give the Rollout one analysis with one metric, and deploy."""
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "instead"}}
    trial.stage.apply([template | {"spec": {"metrics": [{"name": "instead"} | metric]}}])
    trial.stage.edit(strategy={"blueGreen": {when: {"templates": [{"templateName": "instead"}]}}})
    promote(trial)


def _row(
    title: str, folder: str = "blue-green", act: Callable[[Trial], None] = promote, **more: object
) -> list[Scenario]:
    return [Scenario(title, folder, act, green, **more) for green in GREENS]  # type: ignore[arg-type]


NOTHING = (without_gates, ungated)
GATES = (ungated, documented_deadline)

ALTERNATIVES: list[Scenario] = [
    *_row("readiness gates, `progressDeadlineAbort`", changes=GATES),
    *_row("our gate"),
    *_row("our gate, ping-pong", "ping-pong"),
    *_row("our gate, handover", "blue-green-without-gap", hands_over=True),
    *_row("Job with the AWS CLI", act=with_job, changes=NOTHING),
    *_row("Argo's CloudWatch provider", act=with_cloudwatch, changes=NOTHING, versions=("1.9.1",)),
    *_row("nothing", changes=NOTHING),
    *_row("`--aws-verify-target-group`", changes=GATES, flags=("--aws-verify-target-group",)),
]
"""The longest first, as several run at the same time."""
