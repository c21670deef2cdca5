"""What the README, docs/ and the examples promise is what the code does."""

import re
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from provider.advice.preflight import live as preflight
from provider.checks import QUESTIONS
from provider.checks.question import parse
from provider.handover import question as handover
from provider.history import explanation, overview, recall
from provider.http.openapi import describe
from provider.model.reasons import Phase, Reason
from provider.telemetry import Metrics
from tests import ROOT
from tests.app import create_app
from tests.repository.documentation import DOCS, GENERATED, rendered

EXAMPLE = ROOT / "rollout-examples" / "blue-green"
MOST_README_LINES = 110
MOST_PAGES = 11
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md")]
    + list(DOCS.rglob("*.md"))
    + list((ROOT / "rollout-examples").rglob("*.md"))
)


FOR_PEOPLE = (recall.NAME, explanation.NAME, overview.NAME, preflight.NAME)
"""Endpoints that give no verdict."""


def text_of(path):
    """A page by its path from the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def prose_of(path):
    """A page without its code blocks, in which brackets are no links and `#` begins no heading."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors_of(path):
    """The anchors that GitHub makes of a page's headings: lower case, no punctuation, numbered if they repeat."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", prose_of(path), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors


def is_there(page, link):
    """Whether a relative link of a page leads to a file, and to a heading of it where it names one."""
    name, _, anchor = link.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or (path.suffix == ".md" and anchor in anchors_of(path)))


def test_every_link_leads_somewhere():
    """Every relative link and picture of a page is a file that exists, and every #anchor a heading of it."""
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(page))]

    assert links
    assert [(str(page.relative_to(ROOT)), link) for page, link in links if not is_there(page, link)] == []


def test_links_are_checked():
    """A missing file, a missing heading and an anchor into something that is no page are seen."""
    readme = ROOT / "README.md"

    assert is_there(readme, "docs/reference.md#targetsinitial")
    assert not is_there(readme, "docs/nothing.md")
    assert not is_there(readme, "docs/reference.md#TargetsInitial")
    assert not is_there(readme, "LICENSE#top")


def test_every_page_can_be_found():
    """The README links to every page of docs/, which are at most eleven."""
    pages = list(DOCS.glob("*.md"))

    assert len(pages) <= MOST_PAGES
    assert [page.name for page in pages if f"](docs/{page.name})" not in text_of("README.md")] == []


def test_the_readme_is_short():
    """The README has at most 110 lines; what is longer belongs in docs/."""
    assert len(text_of("README.md").splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_generated_parts_are_those_of_the_code(page):
    """Every parameter, reason and setting stands in docs/ as it is in the code (make docs)."""
    assert rendered(page) == page.read_text(encoding="utf-8")


def test_every_reason_is_documented():
    """Every reason has a meaning, a phase that Argo knows, and an anchor in the reference: its name in lower case."""
    assert {reason.phase for reason in Reason} == set(Phase)
    assert all(reason.meaning and reason.todo for reason in Reason)
    assert {reason.lower() for reason in Reason} <= anchors_of(DOCS / "reference.md")


@pytest.mark.parametrize("page", [DOCS / "architecture.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_path_of_the_code_exists(page):
    """A path in backticks, such as `provider/rules/green.py`, is a file or a folder of the repository."""
    paths = re.findall(r"`((?:provider|tests|deploy|docs|rollout-examples)/[\w./-]*)`", prose_of(page))

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_room_is_described():
    """docs/architecture.md has a paragraph for each package and module of provider/, and a rule in each paragraph."""
    rooms = {
        path.name for path in (ROOT / "provider").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    section = text_of("docs/architecture.md").partition("\n## Packages\n")[2].partition("\n## ")[0]
    paragraphs = [one for one in section.split("\n\n") if one.strip().startswith("**")]

    described = {name for paragraph in paragraphs for name in re.findall(r"\*\*`provider/([\w.]+)/?`\*\*", paragraph)}

    assert described == rooms - {"__init__.py"}
    assert [paragraph for paragraph in paragraphs if "*Rule: " not in paragraph] == []


def test_metrics_are_documented():
    """The table of metrics in docs/operations.md names every metric there is, but for the client library's own."""
    documented = set(re.findall(r"^\| `(alb_provider_\w+)` \|", text_of("docs/operations.md"), re.MULTILINE))

    families = [one for one in Metrics().registry.collect() if not one.name.startswith("process_")]
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}

    assert documented == exposed


def test_operating_paths_are_documented(sources, metrics):
    """Every route of the server is either an endpoint or in the table of paths in docs/operations.md."""
    documented = set(re.findall(r"^\| `(/[^`]*)` \|", text_of("docs/operations.md"), re.MULTILINE))

    routes = {rule.rule for rule in create_app(sources, metrics).url_map.iter_rules()}

    assert routes == documented | {f"/v1/{name}" for name in (*QUESTIONS, handover.NAME, *FOR_PEOPLE)}


def test_every_endpoint_is_documented():
    """docs/reference.md has a paragraph for every endpoint, and for no other."""
    section = text_of("docs/reference.md").partition("\n### Endpoints\n")[2].partition("\n### ")[0]

    assert set(re.findall(r"^\*\*`([\w-]+)`\*\*", section, re.MULTILINE)) == {
        *QUESTIONS,
        handover.NAME,
        *FOR_PEOPLE,
    }


def test_the_rbac_table_is_the_cluster_role():
    """docs/security.md asks for exactly the verbs and resources that the ClusterRole grants."""
    documented = set()
    for groups, grants in re.findall(r"^\| RBAC ([^|]+)\| ([^|]+)\|", text_of("docs/security.md"), re.MULTILINE):
        for verbs, resource in re.findall(r"([a-z, ]+) `(\w+)`", grants):
            for group in re.findall(r"`([\w.]+)`", groups) or [""]:
                documented |= {(group, resource, verb.strip()) for verb in verbs.split(",")}
    role = yaml.safe_load(text_of("deploy/base/cluster-role.yaml"))

    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    of_components = {
        (group.strip('" '), resource, verb)
        for name in ("events", "preflight")
        for groups, resource, verb in re.findall(
            r"apiGroups: \[([^\]]*)\]\s+resources: \[(\w+)\]\s+verbs: \[(\w+)\]",
            text_of(f"deploy/components/{name}/kustomization.yaml"),
        )
        for group in groups.split(",")
    }
    assert documented == granted | of_components


def test_the_effect_of_every_parameter_is_documented():
    """The table of effects has every parameter that can change a phase, and no name that is none."""
    table = text_of("docs/reference.md").partition("### What each parameter does to the phase")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ([^|]+)\|", table, re.MULTILINE))))

    taken = {str(field.alias) for check in QUESTIONS.values() for field in check.query.model_fields.values()}

    assert documented == taken - {"namespace", "rollout", "service"}


def test_every_http_status_is_documented():
    """Each status of the OpenAPI description is in the table of statuses in docs/reference.md."""
    rows = re.findall(r"^\| (\d{3}[\d, ]*)\|", text_of("docs/reference.md"), re.MULTILINE)
    documented = set(re.findall(r"\b(\d{3})\b", "".join(rows)))

    described = {code for path in describe()["paths"].values() for one in path.values() for code in one["responses"]}

    assert described <= documented


def template():
    return yaml.safe_load((EXAMPLE / "analysis-template.yaml").read_text(encoding="utf-8"))


def test_the_example_asks_a_real_question_with_real_parameters():
    """The example's URL is a route, all of its parameters are accepted, and every argument is declared and supplied."""
    (metric,) = template()["spec"]["metrics"]
    url = metric["provider"]["web"]["url"]
    declared = {arg["name"] for arg in template()["spec"]["args"]}
    rollout = yaml.safe_load((EXAMPLE / "rollout-strategy.yaml.part").read_text(encoding="utf-8"))
    supplied = {arg["name"] for arg in rollout["spec"]["strategy"]["blueGreen"]["prePromotionAnalysis"]["args"]}

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
    """Only three consecutive passes lead to Successful, and the limits fit under progressDeadlineSeconds."""
    (metric,) = template()["spec"]["metrics"]
    rollout = yaml.safe_load((EXAMPLE / "rollout-strategy.yaml.part").read_text(encoding="utf-8"))

    assert metric["consecutiveSuccessLimit"] == 3
    assert metric["failureLimit"] == 0
    assert metric["inconclusiveLimit"] == metric["count"]
    assert metric["count"] * 11 < rollout["spec"]["progressDeadlineSeconds"]
