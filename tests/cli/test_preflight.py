"""The command `preflight`: its formats and exit codes."""

import json
import re

import pytest
import yaml

from provider import DOCUMENTATION
from provider.cli import main as cli
from provider.cli.code_scanning import annotation
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


def test_one_of_several_rollouts(run, tmp_path):
    """With --rollout the others of a file are as if they were not there."""
    text = (ROOT / "rollout-examples" / "blue-green" / "rollout.yaml").read_text(encoding="utf-8")
    (tmp_path / "two.yaml").write_text(f"{text}\n---\n{text.replace('name: web', 'name: other')}")
    code, out, err = run("-f", str(tmp_path / "two.yaml"), "--rollout", "web")

    assert code in {0, 1}, err
    assert "/other (" not in out


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
    assert f"({DOCUMENTATION}/preflight.md#switchhasgap)" in out
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
    """JSON and YAML have the same: code, severity, objects, what happens, what to change, and the place in the file."""
    _, out, _ = run("-f", broken, "-o", output)

    [report] = load(out)
    first = report["findings"][0]
    assert (report["rollout"], first["code"], first["severity"]) == ("web", "NoPreviewService", "blocks")
    assert first.keys() == {"code", "severity", "objects", "says", "todo", "more", "field", "place"}
    assert first["field"] == "spec.strategy.blueGreen"
    assert first["place"]["file"] == f"{broken}/rollout.yaml"


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
    assert out.splitlines()[0].startswith(f"::error file={broken}/rollout.yaml,line=")
    assert ",title=NoPreviewService::Rollout/web: The strategy has no previewService." in out.splitlines()[0]
    assert all(line.startswith("::") for line in out.splitlines())


FORGED = r"\n::error title=forged::x\r\e[2J\u202e\u2028\x85\uD800%0A"


@pytest.fixture
def hostile():
    """The example `blue-green` whose names and namespace have line breaks, control sequences and half a character."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rollout-examples/blue-green").glob("*.yaml"))]
    names = r"(?<=: )(web|web-active|web-preview|shop|alb-gate|preview\.shop\.example\.com)(?= )"
    return re.sub(names, lambda name: f'"{name[0]}{FORGED}"', "\n---\n".join(texts))


@pytest.mark.parametrize("command", ["preflight", "forecast"])
def test_a_name_forges_no_line(command_line, hostile, command):
    """Each name is in one line of what is printed, without control characters."""
    _, out, err = command_line(command, "-f", "-", given=hostile)

    assert r"web\n::error title=forged::x\r\x1b[2J\u202e\u2028\x85\ud800%0A" in out
    assert err == ""
    assert all(line.isprintable() for line in out.split("\n"))


def test_a_name_forges_no_manifest(command_line, hostile):
    """What `convert` says in comments and notes stays there, whatever the names are."""
    hostile = hostile.replace(r"\uD800", "").replace(
        r"\u202e", ""
    )  # YAML has the first as an error, the second as it is
    code, out, err = command_line("convert", "-f", "-", given=hostile)

    assert code == 0
    assert [line for line in err.split("\n") if line and not line.startswith("Note: ")] == []
    assert "forged" in err
    assert [line for line in out.split("\n") if not line.isprintable() or line.lstrip().startswith("::")] == []
    assert {one["kind"] for one in yaml.safe_load_all(out) if one} >= {"Rollout", "Service", "Ingress"}


def test_everything_for_github_is_one_command_a_line(run, hostile):
    """With --github each line is a workflow command, and GitHub reads from it the text that was meant."""
    code, out, err = run("-f", "-", "--github", given=hostile)

    texts = re.findall(r"^::(?:error|warning|notice) title=\w+::(.*)$", out, re.MULTILINE)
    assert code == 1
    assert all(line.startswith("::") for line in err.splitlines())
    assert len(texts) == len(out.splitlines())
    assert any("web-active%0A::error title=forged::x%0D\\x1b[2J" in text for text in texts)
    assert all("%250A" in text for text in texts if "forged" in text)


@pytest.mark.parametrize(
    ("title", "text", "command"),
    [
        ("Code", "5 % of 10:20, done", "::error title=Code::5 %25 of 10:20, done"),
        ("a:b,c%d\r\n", "a\r\nb\n", "::error title=a%3Ab%2Cc%25d%0D%0A::a%0D%0Ab%0A"),
        ("%0A", "%0A\x1b[31m\x0b\ud800", "::error title=%250A::%250A\\x1b[31m\\x0b\\ud800"),
    ],
)
def test_workflow_commands_are_escaped_as_github_documents(title, text, command):
    """Data escapes %, CR and LF; a property escapes colon and comma too; what else is invisible is shown."""
    assert annotation("error", title, text) == command


@pytest.mark.parametrize("flag", ["-f", "--before"])
def test_what_cannot_be_read_is_a_command_for_github(run, tmp_path, flag):
    """With --github also an error is a workflow command, whatever the file is called."""
    name = str(tmp_path / "a\n::error::forged.yaml")

    code, out, err = run("-f", BLUE_GREEN, flag, name, "--github")

    assert (code, out) == (3, "")
    assert err.startswith("::error title=alb-provider preflight::Cannot read ")
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("scene", "environment")
def test_what_was_not_checked_is_a_command_for_github(run, world):
    """With --live --github each kind that could not be read is a warning."""
    world.kubernetes_faults.kubernetes_error("/ingresses", "Forbidden", "no", 403)

    _, _, err = run("--live", "-n", "shop", "--rollout", "web", "--github")

    assert err
    assert all(line.startswith("::warning title=alb-provider preflight::Not checked: ") for line in err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("-f", "/does/not/exist"), "", "Cannot read /does/not/exist: No such file or directory"),
        (("-f", "-"), "a: [", "is not YAML (line 1)"),
        (("-f", "-"), "kind: Service\nmetadata: {name: a}\n", "There is no Rollout among the manifests"),
        ((), "", "Give either --file, or --live and --rollout"),
        (("--live",), "", "Give either --file, or --live and --rollout"),
    ],
)
def test_misuse(run, arguments, given, says):
    """What cannot be read is a sentence, and the exit code is 3."""
    code, _, err = run(*arguments, given=given)

    assert (code, says in err) == (3, True)


def test_ignored(run, broken):
    """--ignore and the Rollout's annotation leave out findings, and another code is refused."""
    code, out, _ = run("-f", broken, "--ignore", "NoPreviewService@web")
    unknown, _, err = run("-f", broken, "--ignore", "NoSuchFinding")

    assert code == 0
    assert "Ignored: NoPreviewService" in out
    assert (unknown, "There is no finding NoSuchFinding" in err) == (3, True)


def test_fail_on(run):
    """--fail-on says from which severity on the exit code is 1."""
    example = str(ROOT / "rollout-examples" / "blue-green")

    assert run("-f", example)[0] == 0
    assert run("-f", example, "--fail-on", "risk")[0] == 1


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
