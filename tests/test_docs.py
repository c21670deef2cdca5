"""What the README and the examples promise is what the code does."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from provider.app import create_app
from provider.checks import QUESTIONS
from provider.description import describe
from provider.question import parse
from provider.reasons import MEANINGS, Reason
from provider.telemetry import Metrics
from tests.documentation import README, rendered

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "rollout-examples" / "blue-green"
TEXT = README.read_text(encoding="utf-8")


def test_reference_tables_are_those_of_the_code():
    """Every parameter, reason and setting stands in the README as it is in the code (make docs)."""
    assert rendered(TEXT) == TEXT


def test_every_reason_is_documented():
    """A reason without a meaning, or one whose phase Argo does not know, cannot be added."""
    assert set(MEANINGS) == set(Reason)
    assert {row.phase for row in MEANINGS.values()} == {"Successful", "Failed", "Inconclusive"}


def test_metrics_are_documented():
    """The README's table of metrics names every metric there is, and no other."""
    documented = set(re.findall(r"^\| `(alb_provider_\w+)` \|", TEXT, re.MULTILINE))

    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}

    assert documented == exposed


def test_operating_paths_are_documented(sources, metrics):
    """Every route of the server is either a question or in the table of paths."""
    documented = set(re.findall(r"^\| `(/[\w.]+)` \|", TEXT, re.MULTILINE))

    routes = {rule.rule for rule in create_app(sources, metrics).url_map.iter_rules()}

    assert routes == documented | {"/"} | {f"/v1/{name}" for name in QUESTIONS}


def test_every_linked_file_exists():
    """No link of the README leads to a file that is not there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_iam_actions_are_those_that_the_reader_calls(scene, client):
    """The README asks for exactly the IAM actions that a question makes."""
    documented = set(re.findall(r"(?:elasticloadbalancing|cloudwatch):(\w+)", TEXT))
    scene.world.aws.faults.forget_calls()

    client.get("/v1/gate?namespace=shop&rollout=web")

    assert {call.name for call in scene.world.aws.calls} == documented


def test_the_rbac_table_is_the_cluster_role():
    """The README asks for exactly the verbs and resources that the ClusterRole grants."""
    documented = set()
    for groups, grants in re.findall(r"^\| RBAC ([^|]+)\| ([^|]+)\|", TEXT, re.MULTILINE):
        for verbs, resource in re.findall(r"([a-z, ]+) `(\w+)`", grants):
            for group in re.findall(r"`([\w.]+)`", groups) or [""]:
                documented |= {(group, resource, verb.strip()) for verb in verbs.split(",")}
    role = yaml.safe_load((ROOT / "deploy" / "base" / "cluster-role.yaml").read_text(encoding="utf-8"))

    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert documented == granted


def test_the_effect_of_every_parameter_is_told():
    """The table of effects has every parameter that can change a phase, and no name that is none."""
    table = TEXT.partition("What each parameter does to the phase:")[2].partition("\n\n<!--")[0]
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ([^|]+)\|", table, re.MULTILINE))))

    taken = {str(field.alias) for check in QUESTIONS.values() for field in check.query.model_fields.values()}

    assert told == taken - {"namespace", "rollout", "service"}


def test_every_http_status_is_told():
    """Each status of the OpenAPI description is in the README's table of statuses."""
    told = set(re.findall(r"\b(\d{3})\b", "".join(re.findall(r"^\| (\d{3}[\d, ]*)\|", TEXT, re.MULTILINE))))

    described = {code for path in describe()["paths"].values() for one in path.values() for code in one["responses"]}

    assert described <= told


def template():
    return yaml.safe_load((EXAMPLE / "analysis-template.yaml").read_text(encoding="utf-8"))


def test_the_example_asks_a_real_question_with_real_parameters():
    """The example's URL is a route, all of its parameters are accepted, and every argument is declared and supplied."""
    (metric,) = template()["spec"]["metrics"]
    url = metric["provider"]["web"]["url"]
    declared = {one["name"] for one in template()["spec"]["args"]}
    rollout = yaml.safe_load((EXAMPLE / "rollout-strategy.yaml").read_text(encoding="utf-8"))
    supplied = {one["name"] for one in rollout["spec"]["strategy"]["blueGreen"]["prePromotionAnalysis"]["args"]}

    filled = urlsplit(re.sub(r"\{\{args\.([\w-]+)\}\}", "x", url))
    question = QUESTIONS[filled.path.removeprefix("/v1/")]
    query = parse(question, [(name, value) for name, values in parse_qs(filled.query).items() for value in values])

    assert query.pod_template_hash == "x"
    assert set(re.findall(r"\{\{args\.([\w-]+)\}\}", url)) == declared == supplied


@pytest.mark.usefixtures("scene")
def test_the_example_reads_what_an_answer_has(client):
    """The example's jsonPath and conditions fit a real answer: [number, phase, message]."""
    (metric,) = template()["spec"]["metrics"]

    answer = client.get("/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health").json

    assert metric["provider"]["web"]["jsonPath"] == "{$.measurement}"
    assert metric["successCondition"] == f'result[1] == "{answer["measurement"][1]}"'
    assert metric["failureCondition"] == 'result[1] == "Failed"'
    assert answer["measurement"] == [100.0, answer["phase"], answer["message"]]


def test_the_example_cannot_pass_by_waiting():
    """The limits leave three passes in a row as the only way to Successful, and fit under progressDeadlineSeconds."""
    (metric,) = template()["spec"]["metrics"]
    rollout = yaml.safe_load((EXAMPLE / "rollout-strategy.yaml").read_text(encoding="utf-8"))

    assert metric["consecutiveSuccessLimit"] == 3
    assert metric["failureLimit"] == 0
    assert metric["inconclusiveLimit"] == metric["count"]
    assert metric["count"] * 11 < rollout["spec"]["progressDeadlineSeconds"]


def test_the_readmes_template_is_the_examples():
    """The README shows the example's own metric, word for word."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    shown = yaml.safe_load(block)["metrics"][0]
    (metric,) = template()["spec"]["metrics"]

    assert shown == {**metric, "provider": {"web": {**shown["provider"]["web"]}}}
    assert shown["provider"]["web"].items() <= metric["provider"]["web"].items()
