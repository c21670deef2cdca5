"""A switch that no pass preceded does not go unnoticed."""

import threading
import time
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from provider.history.last_looks import MOST_ROLLOUTS
from provider.history.switches import FORGET_AFTER, Switches
from tests.app import create_app
from tests.scene import BLUE, GREEN
from tests.server import PATIENCE

GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health&unhealthyGraceSeconds=0"
WEB = ("shop", "web")
SERIES = 'alb_provider_ungated_switches_total{rollout="web",rollout_namespace="shop"}'


@pytest.fixture
def switches(metrics, wall_clock):
    return Switches(metrics, wall_clock)


@pytest.fixture
def client(sources, metrics, switches):
    """The application with a detector that the test itself lets look."""
    return create_app(sources, metrics, switches=switches).test_client()


def count(metrics):
    """The metric's value, None while there is no series."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(SERIES)), None)


def make_sick(scene):
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout")


def test_a_switch_to_a_failed_green_is_reported(scene, client, switches, sources, metrics, caplog):
    """After Failed and a switch the metric counts 1, the log warns, and answers show it while that version serves."""
    make_sick(scene)
    failed = client.get(GATE).json
    switches.look(WEB, sources)
    before = count(metrics)
    scene.switch()
    switches.look(WEB, sources)
    switches.look(WEB, sources)
    shown = client.get(GATE).json["observed"]["ungatedSwitch"]

    assert (failed["phase"], before, count(metrics)) == ("Failed", 0, 1)
    assert f"Rollout web in namespace shop now serves {GREEN}, for which this replica gave no Successful" in caplog.text
    assert shown["podTemplateHash"] == GREEN
    assert "ungatedSwitch" not in failed["observed"]


def test_a_switch_after_a_pass_is_not_reported(scene, client, switches, sources, metrics):
    """A version that passed before the switch is none of the detector's business, nor is a rollback to blue."""
    passed = client.get(GATE).json["phase"]
    switches.look(WEB, sources)
    scene.switch()
    switches.look(WEB, sources)
    scene.rollout["status"] |= {"stableRS": BLUE}
    scene.switch(promoted=False, back=True)
    switches.look(WEB, sources)

    assert (passed, count(metrics)) == ("Successful", 0)
    assert "ungatedSwitch" not in client.get(GATE).json["observed"]


@pytest.mark.usefixtures("scene")
def test_what_cannot_be_read_reports_nothing(client, switches, sources, metrics, world):
    """A look that Kubernetes refuses changes nothing, and the next one tries again; a deleted Rollout is forgotten."""
    client.get(GATE)
    world.kubernetes_faults.kubernetes_error("/rollouts/web", "Forbidden", "no", 403, times=1)
    switches.look(WEB, sources)
    refused = count(metrics)
    world.kubernetes.delete("Rollout", *WEB)
    switches.look(WEB, sources)

    assert (refused, count(metrics)) == (0, None)
    assert switches.due(0) == []


@pytest.mark.usefixtures("scene")
def test_rollouts_are_forgotten(client, switches, metrics, wall_clock):
    """Six hours after the last query a Rollout and its series are gone, and never more than the maximum are kept."""
    client.get(GATE)
    known = switches.due(0)
    wall_clock.advance((FORGET_AFTER + timedelta(seconds=1)).total_seconds())
    gone = switches.due(0)
    for number in range(MOST_ROLLOUTS + 5):
        client.get(f"/v1/target-health?namespace=shop&rollout=none-{number}")

    assert (known, gone, count(metrics)) == ([WEB], [], None)
    assert len(switches.due(0)) <= MOST_ROLLOUTS


def test_the_thread_looks_by_itself(scene, client, switches, sources, metrics):
    """The background thread looks at a Rollout as soon as it is queried, and finds the switch without another query."""
    stopping = threading.Event()
    thread = threading.Thread(target=switches.run, args=(0.05, sources, stopping), daemon=True)
    thread.start()
    try:
        make_sick(scene)
        client.get(GATE)
        wait_until(lambda: switches.due(3600) == [])
        scene.switch()
        wait_until(lambda: count(metrics) == 1)
    finally:
        stopping.set()
        thread.join()


def wait_until(holds):
    """Wait for at most a minute."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
