"""The same fleet asking AWS itself: `python -m tests.bench.naive_askers <seconds> <pods> <rollouts>`.

Every five seconds each Rollout's own script makes the straightforward way's two calls, with boto3's default retries.
Only its AWS side, on threads, because hundreds of such scripts with their typed pods do not fit one machine.
"""

import json
import os
import sys
import threading
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.bench.askers import EVERY_SECONDS
from tests.bench.subjects import Subject

_PRINTING = threading.Lock()


def ask(elbv2: Any, subject: Subject) -> dict[str, Any]:
    """Make the two calls of one question."""
    try:
        elbv2.describe_target_groups(TargetGroupArns=[subject.arn])
        targets = elbv2.describe_target_health(TargetGroupArn=subject.arn)["TargetHealthDescriptions"]
    except ClientError as error:
        return {"status": 200, "phase": "Error", "reason": error.response["Error"]["Code"]}
    healthy = all(one["TargetHealth"]["State"] == "healthy" for one in targets)
    return {"status": 200, "phase": "Successful" if healthy else "Inconclusive", "reason": "TargetsHealthy"}


def run(elbv2: Any, subject: Subject, starts_at: float, ends_at: float) -> None:
    """Ask until the end."""
    due = starts_at
    while due < ends_at:
        time.sleep(max(0.0, due - time.monotonic()))
        asked = time.monotonic()
        told = ask(elbv2, subject)
        line = {"rollout": subject.number, "asked": asked, "answered": time.monotonic(), **told}
        with _PRINTING:
            print(json.dumps(line))  # noqa: T201 - the parent reads it
        due = max(due + EVERY_SECONDS, time.monotonic())


def main(seconds: float, pods: int, rollouts: int) -> None:
    """Run a thread for each Rollout."""
    config = Config(max_pool_connections=rollouts)
    elbv2 = boto3.client("elbv2", region_name=os.environ["AWS_REGION"], config=config)
    start = time.monotonic() + 0.5
    threads = []
    for number in range(rollouts):
        starts_at = start + EVERY_SECONDS * number / rollouts
        arguments = (elbv2, Subject(number=number, pods=pods), starts_at, start + seconds)
        threads.append(threading.Thread(target=run, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
