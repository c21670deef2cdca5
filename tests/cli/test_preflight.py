"""The command `preflight`: its formats and exit codes."""

import json

import pytest
import yaml

from provider.cli import main as cli
from tests import ROOT

COMMAND = ("preflight",)

BLUE_GREEN = str(ROOT / "rollout-examples" / "blue-green")
PING_PONG = str(ROOT / "rollout-examples" / "ping-pong")


@pytest.fixture
def broken(tmp_path):
    """The example `blue-green` without a preview Service."""
    text = (ROOT / "rollout-examples" / "blue-green" / "rollout.yaml").read_text(encoding="utf-8")
    (tmp_path / "rollout.yaml").write_text(text.replace("      previewService: web-preview  # yours\n", ""))
    (tmp_path / "gate.yaml").write_text((ROOT / "rollout-examples/blue-green/analysis-template.yaml").read_text())
    return str(tmp_path)


def test_a_tree_per_rollout(run):
    """A person sees the Rollout with what it leads to, then each finding, what to change, and where to read more."""
    code, out, _ = run("-f", BLUE_GREEN)

    assert code == 0
    assert out.splitlines()[:4] == [
        "! Rollout shop/web (blue-green)",
        "  ✓ activeService web-active",
        "  ✓ previewService web-preview",
        "  ✓ Ingress web",
    ]
    assert "! risk SwitchHasGap: The switch moves the selector of Service web-active" in out
    assert "(docs/preflight.md#switchhasgap)" in out
    assert "\x1b" not in out


def test_nothing_was_found(run):
    """A clean topology says so."""
    code, out, _ = run("-f", PING_PONG)

    assert (code, out.splitlines()[-1]) == (0, "Nothing was found.")


def test_what_blocks_is_an_exit_code(run, broken):
    """Exit code 1 if something cannot work."""
    code, out, _ = run("-f", broken)

    assert code == 1
    assert "✗ blocks NoPreviewService: The strategy has no previewService" in out


def test_the_forecast(monkeypatch, capsys):
    """`forecast` prints the gap with its bounds, requests at risk, the timeline, the ramp, and what would help."""
    monkeypatch.setattr(
        "sys.argv",
        ["alb-provider", "forecast", "-f", BLUE_GREEN, "--requests-per-second", "100",
         "--requests-per-target-per-second", "25"],
    )  # fmt: skip
    with pytest.raises(SystemExit) as exited:
        cli.main()
    out = capsys.readouterr().out

    lines = out.splitlines()
    assert exited.value.code == 0
    assert lines[0] == "shop/web: about 2.6 s (0.7 to 7.6) without a healthy target at each switch"
    assert lines[2] == "Requests at risk in the gap: 263 (72 to 756), at 100.0 a second"
    assert "   0.0  Argo moves the selector of the production Service to green" in lines
    assert lines[-3].startswith("  0.0 s  A handover")


def test_standard_input(run):
    """`-` reads what `helm template` or `kubectl kustomize` prints."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rollout-examples/blue-green").glob("*.yaml"))]

    code, out, _ = run("-f", "-", given="\n---\n".join(texts))

    assert (code, "SwitchHasGap" in out) == (0, True)


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_data(run, broken, output, load):
    """JSON and YAML have the same: code, severity, objects, what happens, what to change and where to read."""
    _, out, _ = run("-f", broken, "-o", output)

    [report] = load(out)
    first = report["findings"][0]
    assert (report["rollout"], first["code"], first["severity"]) == ("web", "NoPreviewService", "blocks")
    assert first.keys() == {"code", "severity", "objects", "says", "todo", "more"}


def test_sarif(run, broken):
    """SARIF has each rule once, and each result with its level and object."""
    _, out, _ = run("-f", broken, "-o", "sarif")

    log = json.loads(out)
    [done] = log["runs"]
    rules = [one["id"] for one in done["tool"]["driver"]["rules"]]
    assert (log["version"], len(rules), len(set(rules))) == ("2.1.0", len(rules), len(rules))
    first = done["results"][0]
    assert (first["ruleId"], first["level"]) == ("NoPreviewService", "error")
    assert first["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "shop/Rollout/web"
    assert {one["ruleId"] for one in done["results"]} <= set(rules)


def test_github(run, broken):
    """With --github each finding is a workflow command of one line."""
    code, out, _ = run("-f", broken, "--github")

    assert code == 1
    assert out.splitlines()[0].startswith(
        "::error title=NoPreviewService::Rollout/web: The strategy has no previewService."
    )
    assert all(line.startswith("::") for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("-f", "/does/not/exist"), "", "Cannot read /does/not/exist: No such file or directory"),
        (("-f", "-"), "a: [", "Cannot read the manifests: it is not YAML (line 1)"),
        (("-f", "-"), "kind: Service\nmetadata: {name: a}\n", "There is no Rollout among the manifests"),
        ((), "", "Give either --file, or --live and --rollout"),
        (("--live",), "", "Give either --file, or --live and --rollout"),
    ],
)
def test_misuse(run, arguments, given, says):
    """What cannot be read is a sentence, and the exit code is 3."""
    code, _, err = run(*arguments, given=given)

    assert (code, says in err) == (3, True)


def test_edits(run, tmp_path):
    """With the manifests of before it names the Services that would get a new target group."""
    for path in (ROOT / "rollout-examples" / "blue-green").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(text.replace("target-type: ip", "target-type: instance"))

    code, out, _ = run("-f", str(tmp_path), "--before", BLUE_GREEN)

    assert code == 0
    assert "TargetGroupRenamed: Service web-active in Ingress web gets a new target group: target type from ip" in out


def test_the_assumptions_of_a_forecast(command_line):
    """A registration that takes longer makes the gap longer, by as much."""
    _, quick, _ = command_line("forecast", "-f", BLUE_GREEN, "--registration-seconds", "0")
    _, slow, _ = command_line("forecast", "-f", BLUE_GREEN, "--registration-seconds", "10")

    assert quick.startswith("shop/web: about 1.6 s")
    assert slow.startswith("shop/web: about 11.6 s")


@pytest.mark.parametrize(("namespace", "expected"), [("shop", "Rollout shop/web"), (None, "Rollout default/web")])
def test_the_namespace_of_the_context(run, tmp_path, monkeypatch, namespace, expected):
    """Objects without a namespace are in that of the kubeconfig's context, as for kubectl; else in `default`."""
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "rollout.yaml").write_text("kind: Rollout\nmetadata: {name: web}\nspec: {strategy: {canary: {}}}\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    _, out, _ = run("-f", str(tmp_path / "rollout.yaml"))

    assert expected in out
