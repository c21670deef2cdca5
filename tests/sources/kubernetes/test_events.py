"""Events on a Rollout: news that never disturbs an answer."""

import json
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

from provider.history.switches import Switches
from provider.model.errors import CannotTell
from provider.sources.kubernetes.connection import connect
from provider.sources.kubernetes.events import BURST, MAX_MESSAGE_BYTES, SECONDS_PER_EVENT, Events, News
from tests.app import create_app
from tests.records import NOW
from tests.server import PATIENCE

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
NEWS = News("shop", "web", "uid-1", "TargetsHealthy", "all is well", is_warning=False, at=NOW)


@pytest.fixture
def events(sources, metrics, wall_clock):  # noqa: ARG001 - their fixture leads clients into the world
    """Events written to the embedded cluster."""
    found = Events(partial(connect, pool_size=1), metrics, wall_clock, timeout_seconds=2)
    yield found
    found._client.rest_client.pool_manager.clear()


@pytest.fixture
def client(sources, metrics, wall_clock, events):
    """The application whose changes become Events."""
    return create_app(sources, metrics, switches=Switches(metrics, wall_clock, events=events)).test_client()


def write_queued(events):
    """Write what is queued, in this thread."""
    while not events._queue.empty():
        events.write(events._queue.get_nowait())


def stored(world):
    """The Events in the cluster, the oldest first."""
    return [json.loads(event.encoded) for event in world.kubernetes.stored("Event", "shop")]


def count(metrics, outcome):
    return metrics.registry.get_sample_value("alb_provider_events_total", {"outcome": outcome})


def test_a_change_is_an_event_on_the_rollout(scene, client, events, world):
    """Each change is one Event that `kubectl describe rollout` finds, a warning if a person must act."""
    client.get(HEALTH)
    client.get(HEALTH)
    scene.rollout["status"] |= {"abort": True}
    scene.put()
    client.get(HEALTH)
    write_queued(events)

    found = stored(world)

    assert [(event["type"], event["reason"]) for event in found] == [
        ("Normal", "TargetsHealthy"),
        ("Warning", "RolloutAborted"),
    ]
    about = found[0]["involvedObject"]
    assert (about["kind"], about["name"], about["uid"]) == ("Rollout", "web", scene.rollout["metadata"]["uid"])
    assert found[0]["message"] == ("Successful (target-health): 3 of 3 green targets healthy in k8s-shop-web-preview")


def test_a_look_of_the_page_is_no_event(scene, client, events):  # noqa: ARG001 - the scene is what is looked at
    """Only answers are news, not what somebody looks at."""
    client.get("/rollouts/shop/web")

    assert events._queue.empty()


def test_an_event_that_is_refused_changes_no_answer(scene, client, events, metrics, caplog):
    """Without the permission the answer is what it was; the log names the verb, and the metric counts it."""
    scene.world.kubernetes_faults.kubernetes_error("/events", "Forbidden", "no", 403)
    stopping = threading.Event()
    thread = threading.Thread(target=events.run, args=(stopping,))
    thread.start()

    answer = client.get(HEALTH).json
    until = time.monotonic() + PATIENCE
    while count(metrics, "failed") is None and time.monotonic() < until:
        time.sleep(0.01)
    stopping.set()
    thread.join()

    assert answer["phase"] == "Successful"
    assert (count(metrics, "failed"), count(metrics, "written")) == (1, None)
    assert "may not create events in namespace shop" in caplog.text


def test_a_rollout_has_a_limit(events, metrics, wall_clock):
    """Beyond the burst of one Rollout Events are dropped, another Rollout still has its own, and they come back."""
    wall_clock.stop()
    for _ in range(BURST + 3):
        events.note(NEWS)
    queued = events._queue.qsize()
    events.note(replace(NEWS, uid="uid-2"))
    wall_clock.advance(SECONDS_PER_EVENT)
    events.note(NEWS)

    assert (queued, count(metrics, "dropped"), events._queue.qsize()) == (BURST, 3, BURST + 2)


def test_a_full_queue_drops(events, metrics):
    """While nothing can be written at most a fixed number waits, and nobody waits for that."""
    for number in range(200):
        events.note(replace(NEWS, uid=f"uid-{number}"))

    assert (events._queue.qsize(), count(metrics, "dropped")) == (100, 100)


def test_a_long_message_is_cut(events, world):
    """A message is at most what the API takes, cut at a whole character."""
    events.write(replace(NEWS, message="×" * 1000))

    [found] = stored(world)
    assert found["message"] == "×" * (MAX_MESSAGE_BYTES // 2)


def test_what_cannot_be_written_names_the_verb(events, world):
    """A refusal says which verb on which resource the provider lacks."""
    world.kubernetes_faults.kubernetes_error("/events", "Forbidden", "no", 403, times=1)

    with pytest.raises(CannotTell, match="create on events"):
        events.write(NEWS)
