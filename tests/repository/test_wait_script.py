"""The script for a pipeline: wait-until-healthy.sh with a curl that gives real answers in a chosen order."""

import json
import subprocess
import sys

import pytest

from provider.checks import QUESTIONS
from provider.checks.question import parse
from tests import ROOT
from tests.scene import GREEN

SCRIPT = ROOT / "rollout-examples" / "standalone" / "wait-until-healthy.sh"
ASKED = {"namespace": "shop", "rollout": "web", "checks": "replicas,target-health"}


@pytest.fixture
def fake_curl(tmp_path):
    """A curl that gives one answer after the other, the last one for ever, and notes what it was asked."""
    (tmp_path / "curl").write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "with (here / 'asked').open('a') as asked:\n"
        "    print(json.dumps({'arguments': sys.argv[1:], 'input': sys.stdin.read()}), file=asked)\n"
        "answers = json.loads((here / 'answers').read_text())\n"
        "(here / 'answers').write_text(json.dumps(answers[1:] or answers))\n"
        "sys.exit(7) if answers[0] is None else print(*answers[0], sep='\\n', end='')\n",
        encoding="utf-8",
    )
    (tmp_path / "curl").chmod(0o755)
    return tmp_path


def run_script(fake_curl, answers, limit=60, **variables):
    (fake_curl / "answers").write_text(json.dumps(answers), encoding="utf-8")
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), "http://localhost:8080", "shop", "web", str(limit)],
        env={"PATH": f"{fake_curl}:/usr/bin:/bin", "INTERVAL": "0", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def asked(fake_curl):
    """What curl was given, call by call."""
    return [json.loads(line) for line in (fake_curl / "asked").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def answers(scene, client):
    """Real answers by a letter, and what is none."""

    def ask(**more):
        answer = client.get("/v1/gate", query_string=ASKED | more)
        return answer.text.strip(), answer.status_code

    good = ask()
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    waiting, failed = ask(unhealthyGraceSeconds=3600), ask(unhealthyGraceSeconds=0)
    return {
        "S": good,
        "W": waiting,
        "F": failed,
        "4": ask(rollout="nobody"),
        "0": ask(checks="everything"),
        "1": ('{"status": 401}', 401),
        "5": ('{"status": 503}', 503),
        "h": ("<html>Successful</html>", 200),
        "x": None,
    }


@pytest.mark.parametrize(
    ("sequence", "limit", "code"),
    [
        pytest.param("SSS", 60, 0, id="three consecutive"),
        pytest.param("SSWSSxS5ShSSS", 60, 0, id="after a break the count starts again"),
        pytest.param("WF", 60, 1, id="one Failed ends it"),
        pytest.param("W", 0, 2, id="time is up while waiting"),
        pytest.param("S", 0, 2, id="one pass is not enough"),
        pytest.param("x", 0, 3, id="no connection"),
        pytest.param("5", 0, 3, id="overloaded"),
        pytest.param("h", 0, 3, id="a page is no answer"),
        pytest.param("S4", 60, 4, id="no such Rollout"),
        pytest.param("0", 60, 4, id="a query that is refused"),
        pytest.param("W1", 60, 4, id="no valid token"),
    ],
)
def test_the_script_ends_as_it_says(fake_curl, answers, sequence, limit, code):
    """The script passes only on three consecutive Successful answers, and its exit codes are the documented ones."""
    done = run_script(fake_curl, [answers[key] for key in sequence], limit)

    assert done.returncode == code, done.stdout + done.stderr
    assert len(asked(fake_curl)) == len(sequence)


def test_the_script_stops_for_what_a_person_must_fix(fake_curl, scene, client):
    """An answer with the action `fix` ends the script at once: waiting would not help."""
    scene.rollout["spec"]["strategy"]["blueGreen"].pop("previewService")
    scene.put()
    answer = client.get("/v1/gate", query_string=ASKED | {"stage": "beforeSwitch"})
    assert answer.json["observed"]["action"] == "fix"

    done = run_script(fake_curl, [(answer.text.strip(), 200)])

    assert done.returncode == 4
    assert answer.json["reason"] in done.stdout


@pytest.mark.parametrize("given", ["", "5d9c7b6f4"])
def test_the_script_keeps_to_one_version_before_the_switch(fake_curl, answers, given):
    """Every query names the stage, and the hash: the given one, else from the second query on the first answer's."""
    run_script(fake_curl, [answers["S"]], POD_TEMPLATE_HASH=given)

    queries = []
    for call in asked(fake_curl):
        pairs = zip(call["arguments"], call["arguments"][1:], strict=False)
        data = [tuple(value.split("=", 1)) for option, value in pairs if option.startswith("--data")]
        assert "http://localhost:8080/v1/gate" in call["arguments"]
        queries.append(parse(QUESTIONS["gate"], data))
    assert [query.pod_template_hash for query in queries] == [given or None, given or GREEN, given or GREEN]
    assert {(query.namespace, query.rollout, query.stage) for query in queries} == {("shop", "web", "beforeSwitch")}


def test_the_token_is_sent_and_is_on_no_command_line(fake_curl, answers):
    """The token reaches curl as a header in its configuration, and not as an argument that others could read."""
    run_script(fake_curl, [answers["S"]], ALB_PROVIDER_TOKEN="kWq3vX0m5TzR8bYc")

    for call in asked(fake_curl):
        assert call["input"] == 'header = "Authorization: Bearer kWq3vX0m5TzR8bYc"\n'
        assert "kWq3vX0m5TzR8bYc" not in "".join(call["arguments"])


def test_the_script_tells_how_to_use_it(fake_curl):
    """Without its three parameters the script sends no query and exits with 3."""
    done = subprocess.run(["/bin/sh", str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 3
    assert "URL NAMESPACE ROLLOUT" in done.stderr
    assert not (fake_curl / "asked").exists()
