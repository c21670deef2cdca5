"""The shipped metrics, measured by Argo Rollouts' own code behind a proxy that answers every request with a page."""

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import ROOT
from tests.each import each
from tests.examples import EXAMPLES, NAMES, Manifest
from tests.repository.test_examples import TEMPLATES, documents, objects

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SHIPPED = {
    f"{name}/{template['metadata']['name']}/{metric['name']}": metric
    for name in NAMES
    for template in objects(name, *TEMPLATES)
    for metric in template["spec"]["metrics"]
    if "web" in metric["provider"]
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder of the programs made of Argo's code."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not on PATH, so Argo's own code cannot be run.")
    built = tmp_path_factory.mktemp("argo")
    source = ROOT / "tests" / "repository" / "argo"
    subprocess.run([go, "build", "-o", f"{built}/", "./..."], cwd=source, check=True, timeout=800)
    return built


@pytest.fixture(scope="module")
def measure(programs):
    """Argo's web metric as a program: a metric and the controller's proxy in, the phase of one measurement out."""

    def measured(metric, proxy, no_proxy=".svc.cluster.local"):
        controller = {"HTTP_PROXY": proxy, "NO_PROXY": no_proxy, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [str(programs / "measure")],
            input=json.dumps(metric),
            env=controller,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    return measured


@pytest.fixture(scope="module")
def proxy():
    """A proxy that answers whatever it is asked for with a page, and notes the address asked for."""
    asked = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            page = b"<html><body>Please sign in</body></html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def gate_without_insecure() -> Manifest:
    """The gate of ping-pong as it would be without the setting."""
    template = objects("ping-pong", "AnalysisTemplate")[0]
    (metric,) = template["spec"]["metrics"]
    web = {name: value for name, value in metric["provider"]["web"].items() if name != "insecure"}
    return {**metric, "provider": {"web": web}}


@each("metric", SHIPPED)
def test_a_proxys_page_passes_no_shipped_metric(measure, proxy, metric):
    """Argo never asks its proxy for a shipped metric, so a page is no pass: without the provider it is an Error."""
    address, asked = proxy
    asked.clear()

    phase = measure(metric, address)

    assert (phase, asked) == ("Error", [])


def test_without_the_setting_the_page_would_pass(measure, proxy):
    """The same metric without `insecure` asks the proxy and passes on its page: what the setting prevents."""
    address, asked = proxy
    asked.clear()

    phase = measure(gate_without_insecure(), address)

    assert phase == "Successful"
    assert len(asked) == 1


def test_no_proxy_must_name_svc(measure, proxy):
    """An entry `.svc` in NO_PROXY covers the provider's name; `.svc.cluster.local` does not."""
    address, asked = proxy
    asked.clear()

    assert measure(gate_without_insecure(), address, no_proxy=".svc.cluster.local,.svc") == "Error"
    assert asked == []


def test_the_notification_has_our_sentence(programs):
    """Argo's own engine renders the shipped template for a real AnalysisRun's shape, and names Rollout and sentence."""
    (config_map,) = documents(EXAMPLES / "notification.yaml")
    sentence = 'target-health: 2 of 3 green targets healthy; 1 initial ("Elb")'
    value = json.dumps([66.6, "Inconclusive", sentence])
    runs = [
        {
            "status": {
                "metricResults": [
                    {"name": "alb-gate", "phase": "Inconclusive", "measurements": [{"value": "[0]"}, {"value": value}]},
                    {"name": "other", "phase": "Successful", "measurements": [{"value": "1"}]},
                ]
            }
        },
        {"status": {"metricResults": [{"name": "older", "phase": "Inconclusive"}]}},
    ]
    rollout = {"metadata": {"namespace": "shop", "name": "web"}}

    def notified(analysis_runs):
        asked = {
            "configMap": config_map,
            "trigger": "on-analysis-run-inconclusive",
            "vars": {"rollout": rollout, "analysisRuns": analysis_runs},
        }
        done = subprocess.run(
            [str(programs / "notify")],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    first = "Rollout shop/web is paused: its analysis was inconclusive."
    assert notified(runs) == f"{first}\n{sentence}"
    assert notified(None) == first
