"""What real Argo does with a version that answers with 5xx once it has its users. CloudWatch's minutes are real."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

from provider.rules.counts import REQUESTS, TARGET_5XX
from tests.real.scenarios import scenario, until_blue_is_healthy
from tests.real.stage import Stage
from tests.world.aws.cloudwatch import Datum
from tests.world.aws.publication import MINUTE, Publication
from tests.world.cluster.ingresses import load_balancer_name

PER_SECOND, SHARE = 100, 0.08
HISTORY_MINUTES = 20


@scenario
def failing_after_the_switch(stage: Stage) -> None:
    """With 8 % of 5xx after a blue-green switch the watch fails before CloudWatch has finished a minute, and aborts."""
    stage.set_up("blue-green")
    fails_early(stage)
    stage.note("blue-green: 8 % of 5xx after the switch", "fails before a minute is finished; moves the Service back")


@scenario
def ping_pong_failing_after_the_switch(stage: Stage) -> None:
    """The same of a ping-pong canary, which gives blue its weight back."""
    stage.set_up("ping-pong")
    fails_early(stage)
    stage.note("canary: 8 % of 5xx after the switch", "fails before a minute is finished; moves the weights back")


def fails_early(stage: Stage) -> None:
    """Deploy a version that fails with its users; it must be aborted for minutes that are not finished."""
    blue = stage.production
    until_blue_is_healthy(stage)
    with users(stage, blue):
        stage.deploy("2")
        stage.until_switched()
        stage.until("the abort", lambda: stage.is_aborted, seconds=400)
        stage.until_switched(blue)
    switch, back = stage.cast.watcher.events(stage.namespace, "production")[-2:]
    logging.getLogger(__name__).info("%s: back after %.0f s", stage.namespace, back.second - switch.second)
    first = next(one for one in stage.answers(stage.green) if one.phase == "Failed")
    assert first.reason == "ErrorsAboveLimit", stage.story()
    assert "CloudWatch has not finished" in first.body["message"], stage.story()


@contextmanager
def users(stage: Stage, blue: str) -> Iterator[None]:
    """Count steady requests of the production group by the minute; of those to another version than blue some fail."""
    aws, over = stage.cast.world.aws, threading.Event()
    balancer = aws.load_balancer(load_balancer_name(stage.namespace, "web"))
    publication, failed = Publication(aws.cloudwatch, Random(stage.namespace)), 0.0

    def counts(minute: datetime, group: str, failures: int) -> list[Datum]:
        requests = [Datum(balancer, one, REQUESTS, minute, PER_SECOND * 60) for one in (group, None)]
        return requests + [Datum(balancer, group, TARGET_5XX, minute, failures)] * bool(failures)

    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    for number in range(1, HISTORY_MINUTES):
        aws.cloudwatch.publish(counts(minute - number * MINUTE, production_group(stage), 0))

    def serve() -> None:
        nonlocal minute, failed
        before = datetime.now(UTC)
        while not over.wait(0.5):
            now, group = datetime.now(UTC), production_group(stage)
            failed += (now - before) / timedelta(seconds=1) * PER_SECOND * SHARE * (stage.production != blue)
            before = now
            if now >= minute + MINUTE:
                publication.add(counts(minute, group, round(failed)))
                minute, failed = minute + MINUTE, 0.0
            publication.publish(now)

    thread = threading.Thread(target=serve, name=f"users of {stage.namespace}")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def production_group(stage: Stage) -> str:
    """Return the ARN of the target group that users reach."""
    ingresses = stage.cast.controller.ingresses
    weights = ingresses.weights(stage.namespace)
    return next(arn for name, arn in ingresses.groups(stage.namespace) if name != "web-preview" and weights.get(arn))
