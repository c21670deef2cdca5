"""Every example, also with its components, is complete, fits together, and can pass only by passes."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
import pytest
import yaml
from jsonschema import Draft4Validator

from provider.advice.conversion.documents import dump, load
from provider.advice.conversion.ping_pong import convert
from provider.checks import QUESTIONS
from provider.checks.question import parse
from provider.cli.check import NEEDS_A_PERSON
from provider.cli.check import check as command_line
from provider.cli.warm_up import warm_up
from provider.handover import Handovers
from provider.model.records import Freshness
from provider.sources.aws.registrations import Registrations
from tests.app import create_app
from tests.each import each
from tests.examples import COMPONENTS, EXAMPLES, FOLDERS, NAMES, VARIANTS, Manifest, built
from tests.world.argo.analysis_runs import play
from tests.world.argo.assessment import Counters, Limits, Phase, assess, ends, measure, phase_of_run

ARGO = "github.com/argoproj/argo-rollouts@v1.10.1"
"""The Go module whose manifests/crds are Argo's own schemas."""

FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.yaml"))
TEMPLATES = {"AnalysisTemplate", "ClusterAnalysisTemplate"}
IN_A_ROW = 3
ANSWER_SECONDS = 1
"""How long an answer takes as a rule."""


def relative(path):
    return str(path.relative_to(EXAMPLES))


@cache
def documents(path: Path) -> tuple[Manifest, ...]:
    return tuple(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def objects(name: str, *kinds: str) -> list[Manifest]:
    """The objects of an example, or of one with a component."""
    return [manifest for manifest in built(name) if manifest["kind"] in kinds]


ROLLOUTS = [(name, manifest) for name in NAMES for manifest in objects(name, "Rollout")]
NAMED_METRICS = {
    f"{name}/{template['metadata']['name']}/{metric['name']}": metric
    for name in NAMES
    for template in objects(name, *TEMPLATES)
    for metric in template["spec"]["metrics"]
}

each_file = each("path", {relative(path): path for path in FILES})
each_folder = each("folder", {folder.name: folder for folder in FOLDERS})
each_example = each("name", {name: name for name in NAMES})
each_rollout = each("name, rollout", {name: (name, one) for name, one in ROLLOUTS})
each_metric = each("metric", NAMED_METRICS)


@dataclass(frozen=True)
class Use:
    """A place in a Rollout that names templates, with its arguments as Argo resolves them."""

    hook: str
    templates: tuple[tuple[str, bool], ...]
    args: dict[str, str] = field(default_factory=dict)


def uses(node: Any, rollout: Manifest, hook: str = "") -> Iterator[Use]:
    """Every use of templates in a Rollout's strategy, wherever it stands."""
    if isinstance(node, list):
        for one in node:
            yield from uses(one, rollout, hook)
    elif isinstance(node, dict):
        if "templates" in node:
            named = tuple(
                (template["templateName"], template.get("clusterScope", False)) for template in node["templates"]
            )
            yield Use(hook, named, {arg["name"]: resolved(arg, rollout) for arg in node["args"]})
        for name, one in node.items():
            yield from uses(one, rollout, name)


def resolved(arg: Manifest, rollout: Manifest) -> str:
    """What Argo passes for an argument."""
    match arg:
        case {"value": str(value)}:
            return value
        case {"valueFrom": {"podTemplateHashValue": "Latest"}}:
            return "66f7dd47f5"
        case {"valueFrom": {"fieldRef": {"fieldPath": str(path)}}}:
            metadata, _, name = path.partition(".")
            assert metadata == "metadata"
            return str(rollout["metadata"][name])
    raise AssertionError(f"Nobody knows what {arg} is")


def used(name: str) -> Iterator[tuple[Manifest, Use, Manifest]]:
    """Every template that a Rollout uses: the Rollout, where, and the template."""
    known = {template["metadata"]["name"]: template for template in objects(name, *TEMPLATES)}
    for rollout in objects(name, "Rollout"):
        for use in uses(rollout["spec"]["strategy"], rollout):
            for template, is_cluster_wide in use.templates:
                assert not is_cluster_wide
                yield rollout, use, known[template]


def references(node: Any) -> set[str]:
    """Every argument that a text anywhere below refers to."""
    return set(re.findall(r"\{\{\s*args\.([\w-]+)\s*\}\}", yaml.safe_dump(node, width=10_000)))


def filled(text: str, args: dict[str, str]) -> str:
    return re.sub(r"\{\{\s*args\.([\w-]+)\s*\}\}", lambda match: args[match[1]], text)


def arguments(use: Use, template: Manifest) -> dict[str, str]:
    """The arguments of a run: the template's defaults and secrets, and what the Rollout passes."""
    own = {arg["name"]: arg.get("value", "from-a-secret") for arg in template["spec"]["args"] if has_default(arg)}
    return own | use.args


@dataclass(frozen=True)
class WebMetric:
    """A web metric with its arguments filled in: where Argo sends what."""

    metric: Manifest
    use: Use
    address: str
    endpoint: str
    fields: tuple[tuple[str, str], ...]

    @property
    def hands_over(self) -> bool:
        return bool(self.metric["provider"]["web"].get("method") == "POST")

    @classmethod
    def of(cls, metric: Manifest, use: Use, args: dict[str, str]) -> "WebMetric":
        web = metric["provider"]["web"]
        url = urlsplit(filled(web["url"], args))
        body = {name: filled(value, args) for name, value in web.get("jsonBody", {}).items()}
        fields = tuple(body.items()) or tuple(parse_qsl(url.query, keep_blank_values=True))
        return cls(metric, use, f"{url.scheme}://{url.netloc}", url.path.removeprefix("/v1/"), fields)


def web_metrics(name: str) -> Iterator[WebMetric]:
    """Every web metric of the templates that a Rollout uses."""
    for _, use, template in used(name):
        for metric in template["spec"]["metrics"]:
            if "web" in metric["provider"]:
                yield WebMetric.of(metric, use, arguments(use, template))


def has_default(arg: Manifest) -> bool:
    """Whether a template's argument has a value of its own, or takes one from a Secret."""
    return "value" in arg or "secretKeyRef" in arg.get("valueFrom", {})


def seconds(duration: str) -> int:
    match = re.fullmatch(r"(\d+)([smh])", duration)
    assert match, duration
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def services_of(rollout: Manifest) -> set[str]:
    """The Services by which a Rollout's ReplicaSets get traffic."""
    match rollout["spec"]["strategy"]:
        case {"blueGreen": strategy}:
            return {strategy["activeService"], strategy["previewService"]}
        case {"canary": {"pingPong": pair}}:
            return {pair["pingService"], pair["pongService"]}
        case {"canary": {"canaryService": canary, "stableService": stable}}:
            return {canary, stable}
    raise AssertionError("A strategy that no example had so far: say here which its Services are")


# --- the files


@each_file
def test_every_file_parses(path):
    """Every YAML file has documents, and each is an object."""
    assert documents(path)
    assert all(isinstance(manifest, dict) for manifest in documents(path))


@each_folder
def test_every_folder_says_what_it_guarantees_and_what_not(folder):
    """A README has one sentence of guarantee and one of the known gap, each a paragraph of its own."""
    paragraphs = (folder / "README.md").read_text(encoding="utf-8").split("\n\n")

    for begin in ("**Guarantees:** ", "**Known gap:** "):
        (sentence,) = [paragraph.replace("\n", " ") for paragraph in paragraphs if paragraph.startswith(begin)]
        assert re.fullmatch(r".*[^.]\.", sentence)
        assert ". " not in sentence


@each_folder
def test_every_readme_names_every_file(folder):
    """A README names each file of its folder, and the list of examples has the folder."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in folder.iterdir()} - {"README.md"}

    assert {name for name in files if f"`{name}`" not in text} == set()
    assert f"]({folder.name}/README.md)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@each_file
def test_what_must_be_filled_in_is_marked(path):
    """Every line with a name that only the reader knows ends in a comment that begins with `yours`."""
    own = re.compile(r"(: |^\s*- )(web(-\w+)?|shop)( |$)|(: |^\s*- host: )\S*(registry\.example|example\.com)\b")

    unmarked = [
        line for line in path.read_text(encoding="utf-8").splitlines() if own.search(line) and "# yours" not in line
    ]

    assert [line for line in unmarked if not line.startswith("#")] == []


def test_equal_names_are_equal_templates():
    """One name is one content: no template of an example overwrites one of another."""
    contents: dict[str, list[Manifest]] = {}
    for folder in FOLDERS:
        for manifest in objects(folder.name, *TEMPLATES):
            contents.setdefault(manifest["metadata"]["name"], []).append(manifest["spec"])

    assert [name for name, specs in contents.items() if any(spec != specs[0] for spec in specs)] == []


def test_every_component_is_tried():
    """Each component is part of a variant, and named in the list of examples."""
    components = {path.name for path in COMPONENTS.iterdir()}
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert {component for _, component in VARIANTS.values()} == components
    assert [name for name in components if f"](components/{name}/kustomization.yaml)" not in text] == []


@each_folder
def test_a_folder_can_be_applied_at_once(folder):
    """What `kubectl apply -f FOLDER` would read are complete objects only; a fragment has another extension."""
    read = [path for path in folder.iterdir() if path.suffix in {".yaml", ".yml", ".json"}]

    assert [
        path.name for path in read for manifest in documents(path) if not {"apiVersion", "kind"} <= manifest.keys()
    ] == []


def test_metric_names_are_unique_in_an_analysis():
    """Argo refuses two metrics of one name in one analysis, and a team's own metric must not be in the way."""
    for example, rollout in ROLLOUTS:
        templates = {manifest["metadata"]["name"]: manifest for manifest in objects(example, *TEMPLATES)}
        every = [
            metric["name"]
            for name in {name for use in uses(rollout["spec"]["strategy"], rollout) for name, _ in use.templates}
            for metric in templates[name]["spec"]["metrics"]
        ]

        assert len(every) == len(set(every))
        assert all(name.startswith("alb-") for name in every)


def pods_of(name: str) -> Iterator[Manifest]:
    """Every pod spec that an example makes Kubernetes run."""
    for rollout in objects(name, "Rollout"):
        yield rollout["spec"]["template"]["spec"]
    for template in objects(name, *TEMPLATES):
        for metric in template["spec"]["metrics"]:
            if "job" in metric["provider"]:
                yield metric["provider"]["job"]["spec"]["template"]["spec"]


@each_example
def test_every_pod_is_allowed_in_a_restricted_namespace(name):
    """Each pod meets the Pod Security Standard `restricted`, and says what it needs."""
    for pod in pods_of(name):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_the_fragment_is_part_of_the_complete_rollout():
    """What rollout-strategy.yaml.part says is word for word in the complete blue-green Rollout beside it."""
    (fragment,) = documents(EXAMPLES / "blue-green" / "rollout-strategy.yaml.part")
    (rollout,) = objects("blue-green", "Rollout")
    part, whole = fragment["spec"], rollout["spec"]

    assert fragment.keys() == {"spec"}
    assert part["progressDeadlineSeconds"] == whole["progressDeadlineSeconds"]
    assert part["strategy"]["blueGreen"].items() <= whole["strategy"]["blueGreen"].items()


# --- the schemas


def strict(schema: Any) -> Any:
    """A CRD's schema that refuses what the API server would drop: fields that it does not have."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(part) for name, part in schema.items()}
    if schema.get("type") == "object":
        made.setdefault("additionalProperties", schema.get("x-kubernetes-preserve-unknown-fields", False))
    return made


@cache
def schemas() -> dict[tuple[str, str], Manifest]:
    """The schemas of Argo's CRDs by apiVersion and kind."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not on PATH, so Argo's own schemas cannot be had.")
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [go, "mod", "download", "-json", ARGO], cwd=empty, check=True, capture_output=True, timeout=300
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {
        (f"{spec['group']}/{version['name']}", spec["names"]["kind"]): version["schema"]["openAPIV3Schema"]
        for path in sorted((Path(json.loads(done.stdout)["Dir"]) / "manifests" / "crds").glob("*-crd.yaml"))
        for spec in [crd["spec"] for crd in yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader)]
        for version in spec["versions"]
    }


@cache
def validator(api_version: str, kind: str) -> Draft4Validator:
    return Draft4Validator(strict(schemas()[api_version, kind]))


def faults_of(manifest: Manifest) -> list[str]:
    # A CRD says of metadata only that it is an object: the API server knows its fields by itself.
    judged = {name: value for name, value in manifest.items() if name != "metadata"}
    errors = validator(manifest["apiVersion"], manifest["kind"]).iter_errors(judged)
    return [f"{error.json_path}: {error.message}" for error in errors]


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("keep_preview", [False, True])
def test_a_converted_example_fits_the_schemas(keep_preview):
    """What `alb-provider convert` makes of the example `blue-green` is valid for Argo's own schemas."""
    text = "\n---\n".join(path.read_text(encoding="utf-8") for path in sorted((EXAMPLES / "blue-green").glob("*.yaml")))
    made = yaml.safe_load_all(dump(convert(load(text), keep_preview=keep_preview).documents))
    ours = [manifest for manifest in made if manifest["apiVersion"].startswith("argoproj.io/")]

    assert {our["kind"] for our in ours} == {"Rollout", "AnalysisTemplate"}
    assert [fault for our in ours for fault in faults_of(our)] == []


@pytest.mark.long
@pytest.mark.timeout(400)
@each_example
def test_every_argo_object_fits_its_schema(name):
    """A Rollout or template has all required fields, no unknown one, and the types that the CRD says."""
    ours = [manifest for manifest in built(name) if manifest["apiVersion"].startswith("argoproj.io/")]

    assert [fault for our in ours for fault in faults_of(our)] == []


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"replica": 3}, "$.spec: Additional properties are not allowed ('replica' was unexpected)"),
        ({"replicas": "three"}, "$.spec.replicas: 'three' is not of type 'integer'"),
        (
            {"strategy": {"blueGreen": {"previewService": "x"}}},
            "$.spec.strategy.blueGreen: 'activeService' is a required property",
        ),
        (
            {"strategy": {"canary": {"steps": [{"setWeigth": 5}]}}},
            "$.spec.strategy.canary.steps[0]: Additional properties are not allowed ('setWeigth' was unexpected)",
        ),
    ],
)
def test_what_does_not_fit_the_schema_is_seen(change, fault):
    """The comparison with the schema finds unknown, missing and mistyped fields."""
    (rollout,) = objects("blue-green", "Rollout")

    assert faults_of(rollout | {"spec": rollout["spec"] | change}) == [fault]


# --- how the objects of an example fit together


@each_example
def test_every_template_is_used_with_all_of_its_arguments(name):
    """Each template is named by a Rollout, which supplies every argument without a default and no unknown one."""
    named = set()
    for _, use, template in used(name):
        named.add(template["metadata"]["name"])
        declared = {arg["name"]: has_default(arg) for arg in template["spec"]["args"]}

        assert {name for name, default in declared.items() if not default} <= use.args.keys() <= declared.keys()
        assert references(template["spec"]["metrics"]) == declared.keys()

    assert named == {manifest["metadata"]["name"] for manifest in objects(name, *TEMPLATES)}


@each_example
def test_every_template_asks_a_real_question(name, handover_check):
    """Each URL, filled in as Argo does, is a route with parameters that are accepted, and names green's hash."""
    for web in web_metrics(name):
        query = parse(handover_check if web.hands_over else QUESTIONS[web.endpoint], web.fields)

        hosts = ["alb-provider-handover"] if web.hands_over else ["alb-provider", "alb-provider-handover"]
        assert web.address in [f"http://{host}.alb-provider.svc:8080" for host in hosts]
        assert (query.namespace, query.rollout, query.pod_template_hash) == ("shop", "web", "66f7dd47f5")


@pytest.fixture
def handovers(sources, account, metrics):
    registrations = Registrations(account, sources.shared.threads, metrics)
    return Handovers(sources, registrations, metrics, "platform", idle_seconds=60)


@pytest.fixture
def handover_check(handovers):
    return handovers.check


@pytest.fixture
def client(sources, metrics, handovers):
    """The application with handover on, which answers everything that an example asks."""
    return create_app(sources, metrics, handovers=handovers).test_client()


@each_example
@pytest.mark.usefixtures("scene")
def test_every_template_reads_what_an_answer_has(name, client):
    """Each URL is answered with [number, phase, sentence], which is what jsonPath and the conditions read."""
    for web in web_metrics(name):
        path, fields = f"/v1/{web.endpoint}", dict(web.fields)
        answer = client.post(path, json=fields) if web.hands_over else client.get(path, query_string=fields)

        assert answer.status_code == 200
        assert web.metric["provider"]["web"]["jsonPath"] == "{$.measurement}"
        assert measure(web.metric, answer.json["measurement"]) == answer.json["phase"]


@each_example
def test_every_job_asks_by_a_real_command(name):
    """A Job's command has real flags and parameters, and ends at once when green is bad or a person must act."""
    for _, use, template in used(name):
        for metric in template["spec"]["metrics"]:
            if "job" not in metric["provider"] or is_warm_up(metric):
                continue
            job = metric["provider"]["job"]["spec"]
            (container,) = job["template"]["spec"]["containers"]
            program, group, question, *flags = (
                filled(argument, arguments(use, template)) for argument in container["command"]
            )
            command = command_line.get_command(click.Context(command_line), question)
            assert command is not None, question
            given = command.make_context(question, flags).params
            names = {name: QUESTIONS[question].query.model_fields.get(name) for name in given}
            wire = [(str(one.alias), given[name]) for name, one in names.items() if one and given[name] is not None]
            (rule,) = job["podFailurePolicy"]["rules"]

            assert (program, group) == ("alb-provider", "check")
            assert given["url"] == "http://alb-provider.alb-provider.svc:8080"
            query = parse(QUESTIONS[question], wire)
            assert (query.pod_template_hash, query.stage) == ("66f7dd47f5", "beforeSwitch")
            assert rule == {
                "action": "FailJob",
                "onExitCodes": {"containerName": container["name"], "operator": "In", "values": [1, NEEDS_A_PERSON]},
            }
            assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_the_warm_up_is_a_real_command():
    """The command has real flags, ends before its pod is killed, and sends to the host in the Ingress."""
    [(use, template)] = [(use, one) for _, use, one in used("warm-up") if one["metadata"]["name"] == "alb-gate"]
    [metric] = [metric for metric in template["spec"]["metrics"] if is_warm_up(metric)]
    job = metric["provider"]["job"]["spec"]
    _, _, *flags = (
        filled(argument, arguments(use, template)) for argument in job["template"]["spec"]["containers"][0]["command"]
    )
    given = warm_up.make_context("warm-up", flags).params
    [ingress] = objects("warm-up", "Ingress")

    assert given["max_seconds"] < job["activeDeadlineSeconds"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert given["provider"] == "http://alb-provider.alb-provider.svc:8080"
    assert urlsplit(given["url"]).hostname in {rule["host"] for rule in ingress["spec"]["rules"]}
    assert not given["any_host"]


@each_rollout
def test_services_and_pods_of_an_example_agree(name, rollout):
    """The strategy's Services exist, select the Rollout's pods, and lead to a port of their container."""
    pods = rollout["spec"]["template"]
    labels = pods["metadata"]["labels"]
    ports = {port["name"] for container in pods["spec"]["containers"] for port in container["ports"]}
    services = {manifest["metadata"]["name"]: manifest for manifest in objects(name, "Service")}

    assert services_of(rollout) <= services.keys()
    assert rollout["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for service in services.values():
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for container in pods["spec"]["containers"]:
        assert container["image"].startswith("registry.example/")
        assert container["readinessProbe"]["httpGet"]["port"] in ports


@each_rollout
def test_all_objects_of_an_example_are_in_its_namespace(name, rollout):
    """Every namespaced object is in the Rollout's namespace, which is one of the files."""
    inside = objects(name, "Rollout", "Service", "Ingress", "AnalysisTemplate")
    (namespace,) = objects(name, "Namespace")

    assert {manifest["metadata"]["namespace"] for manifest in inside} == {namespace["metadata"]["name"]}
    assert rollout["metadata"]["namespace"] == namespace["metadata"]["name"]


@each_rollout
def test_the_ingress_leads_to_every_service_of_the_rollout(name, rollout):
    """Each Service that the gate judges is behind the load balancer: by its own rule, or by the root's action."""
    (ingress,) = objects(name, "Ingress")
    services = {manifest["metadata"]["name"]: manifest for manifest in objects(name, "Service")}
    backends = {
        (rule["host"], path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    canary = rollout["spec"]["strategy"].get("canary")

    if canary is None:
        assert {(name, port) for _, name, port in backends} == {(name, "http") for name in services_of(rollout)}
        assert len({host for host, _, _ in backends}) == 2
    else:
        alb = canary["trafficRouting"]["alb"]
        assert {(name, port) for _, name, port in backends} == {(alb["rootService"], "use-annotation")}
        assert alb["rootService"] in services.keys() - services_of(rollout)
        assert alb["ingress"] == ingress["metadata"]["name"]
        for service in services_of(rollout):
            assert [port["port"] for port in services[service]["spec"]["ports"]] == [alb["servicePort"]]


@each_rollout
def test_targets_are_what_the_services_and_the_namespace_fit(name, rollout):
    """With ip targets pods get readiness gates; instance targets need NodePorts and have no gates."""
    (ingress,) = objects(name, "Ingress")
    (namespace,) = objects(name, "Namespace")
    gated = namespace["metadata"].get("labels", {}).get("elbv2.k8s.aws/pod-readiness-gate-inject") == "enabled"
    types = {manifest["spec"]["type"] for manifest in objects(name, "Service")}
    checked = ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/healthcheck-path"]
    probes = {
        container["readinessProbe"]["httpGet"]["path"]
        for container in rollout["spec"]["template"]["spec"]["containers"]
    }

    expected = {"ip": (True, {"ClusterIP"}), "instance": (False, {"NodePort"})}
    assert (gated, types) == expected[ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"]]
    assert probes == {checked}


@each_rollout
def test_blue_stays_until_the_verdict_and_for_a_rollback(name, rollout):  # noqa: ARG001 - one table for all
    """One old version is kept beyond the promotion, and blue is never shrunk while green is on trial."""
    (strategy,) = rollout["spec"]["strategy"].values()

    assert strategy["scaleDownDelayRevisionLimit"] == 1
    assert strategy["scaleDownDelaySeconds"] >= 300
    assert not strategy.get("dynamicStableScale", False)
    assert "previewReplicaCount" not in strategy


@each_rollout
def test_no_weight_moves_before_its_gate(name, rollout):  # noqa: ARG001 - one table for all
    """Before every setWeight of a canary come the pods for that weight, and then a gate."""
    steps = rollout["spec"]["strategy"].get("canary", {}).get("steps", [])

    for number, step in enumerate(steps):
        if "setWeight" in step:
            assert steps[number - 2] == {"setCanaryScale": {"weight": step["setWeight"]}}
            assert "analysis" in steps[number - 1]


# --- no pass without passes


@cache
def all_ends(limits: Limits) -> frozenset[tuple[Phase, Counters]]:
    return ends(limits)


def in_a_row(metric: Manifest) -> int:
    """How many consecutive passes a gate needs: a handover is ready as soon as it says so, and Argo is to switch."""
    return 1 if metric["provider"].get("web", {}).get("method") == "POST" else IN_A_ROW


def required(limits: Limits) -> int:
    """How many passes a metric must have had."""
    if limits.consecutive_success_limit:
        return limits.consecutive_success_limit
    assert limits.count is not None
    return limits.count - limits.failure_limit - limits.inconclusive_limit


@each("metric", {name: metric for name, metric in NAMED_METRICS.items() if "web" in metric["provider"]})
def test_every_answer_counts_as_what_it_says(metric):
    """Successful is a pass, Failed a failure, and everything else is neither."""
    answers = ["Successful", "Failed", "Inconclusive", "", "successful"]

    measured = [measure(metric, [100.0, answer, "a sentence"]) for answer in answers]

    assert measured == [Phase.SUCCESSFUL, Phase.FAILED, *[Phase.INCONCLUSIVE] * 3]


@each_metric
def test_every_metric_has_a_proved_shape(metric):
    """Each metric waits for three consecutive passes, watches for a fixed time, watches without end, or is one Job."""
    limits = Limits.of(metric)

    assert "consecutiveErrorLimit" in metric
    if "job" in metric["provider"]:
        assert limits == Limits(1)
    elif limits.count is None:
        assert limits.consecutive_success_limit == 0
    elif limits.consecutive_success_limit:
        assert (limits.consecutive_success_limit, limits.failure_limit) == (in_a_row(metric), 0)
        assert limits.inconclusive_limit == limits.count
    else:
        assert limits.failure_limit + limits.inconclusive_limit < limits.count


@each_metric
def test_no_sequence_passes_without_its_passes(metric):
    """Of all sequences of measurements those that end Successful had the required passes; an endless one has none."""
    limits = Limits.of(metric)

    passed = [counters for phase, counters in all_ends(limits) if phase is Phase.SUCCESSFUL]

    if limits.count is None:
        assert passed == []
    elif limits.consecutive_success_limit:
        assert {counters.successes_in_a_row for counters in passed} == {in_a_row(metric)}
    else:
        assert min(counters.successful for counters in passed) == required(limits) > 0


@each_metric
def test_every_other_end_is_the_one_that_its_cause_deserves(metric):
    """Of all sequences those beyond failureLimit abort, those of too much waiting pause, and an outage is an Error."""
    limits = Limits.of(metric)

    for phase, counters in all_ends(limits):
        assert (phase is Phase.FAILED) == (counters.failed > limits.failure_limit)
        assert (phase is Phase.ERROR) == (counters.errors_in_a_row > limits.consecutive_error_limit)
        if phase is Phase.INCONCLUSIVE:
            assert counters.inconclusive > limits.inconclusive_limit or counters.counted == limits.count


@each_metric
@pytest.mark.parametrize(
    ("always", "expected"),
    [(Phase.INCONCLUSIVE, Phase.INCONCLUSIVE), (Phase.ERROR, Phase.ERROR), (Phase.FAILED, Phase.FAILED)],
)
def test_the_same_answer_for_ever_ends_as_it_should(metric, always, expected):
    """Waiting alone ends in a pause, an outage in an Error, failures in an abort; none of them passes."""
    phase, _ = assess(Limits.of(metric), [always] * 1000)

    assert phase is expected


@each_example
def test_a_run_passes_only_if_all_of_its_metrics_do(name):
    """One metric of a template that does not end well keeps the whole AnalysisRun from passing."""
    for template in objects(name, *TEMPLATES):
        count = len(template["spec"]["metrics"])
        for bad in (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE):
            assert phase_of_run([bad, *[Phase.SUCCESSFUL] * (count - 1)]) is bad

        ignored = {one["metricName"] for one in template["spec"].get("dryRun", ())}
        assert ignored <= {metric["name"] for metric in template["spec"]["metrics"] if is_warm_up(metric)}


@each_example
def test_a_whole_analysis_is_kept(name):
    """Argo keeps every measurement of a metric that asks the provider, under rules that no other template repeats."""
    for template in objects(name, *TEMPLATES):
        kept = {rule["metricName"]: rule["limit"] for rule in template["spec"].get("measurementRetention", ())}
        asks = [metric for metric in template["spec"]["metrics"] if "web" in metric["provider"]]
        assert kept.keys() == {f"^{metric['name']}$" for metric in asks}
        for metric in asks:
            count = Limits.of(metric).count
            assert kept[f"^{metric['name']}$"] >= (count + 30 if count else 100)


def is_warm_up(metric: Manifest) -> bool:
    """Whether a metric only sends requests, and decides nothing."""
    job = metric["provider"].get("job", {"spec": {"template": {"spec": {"containers": [{"command": []}]}}}})
    return "warm-up" in job["spec"]["template"]["spec"]["containers"][0]["command"]


@each_metric
def test_consecutive_passes_are_reads_of_their_own(metric):
    """Every pass reads Kubernetes and AWS again, and no state of a target, two checks 5 s apart, fits between two."""
    if Limits.of(metric).consecutive_success_limit:
        fresh = Freshness()
        assert max(fresh.topology, fresh.target_health) < seconds(metric["interval"]) <= 2 * 5


@each_example
def test_only_a_background_watch_is_endless(name):
    """Argo refuses a Rollout with an endless metric before or after a promotion, or in a step."""
    for rollout, use, template in used(name):
        background = rollout["spec"]["strategy"].get("canary", {}).get("analysis", {}).get("templates", [])
        names = {template["templateName"] for template in background}
        endless = [metric["name"] for metric in template["spec"]["metrics"] if Limits.of(metric).count is None]

        assert not endless or {name for name, _ in use.templates} <= names


@each_example
def test_waiting_ends_before_the_progress_deadline(name):
    """Before and after a promotion the longest wait is shorter than progressDeadlineSeconds, which runs meanwhile."""
    for rollout, use, template in used(name):
        if use.hook not in {"prePromotionAnalysis", "postPromotionAnalysis"}:
            continue  # the deadline does not run during a canary's analysis steps
        for metric in template["spec"]["metrics"]:
            limits, job = Limits.of(metric), metric["provider"].get("job")
            if job:
                longest = job["spec"]["activeDeadlineSeconds"]
            else:
                assert limits.count is not None
                every = seconds(metric["interval"]) + ANSWER_SECONDS
                longest = seconds(metric.get("initialDelay", "0s")) + limits.count * every

            assert longest < rollout["spec"]["progressDeadlineSeconds"]


@each_example
def test_errors_are_asked_once_there_can_be_an_answer(name):
    """Errors are judged once a failure can be certain; the limits allow for what is asked before a pass can be."""
    for web in web_metrics(name):
        if web.endpoint != "errors":
            continue
        query = parse(QUESTIONS["errors"], web.fields).model_dump()
        limits, delay, every = (
            Limits.of(web.metric),
            seconds(web.metric["initialDelay"]),
            seconds(web.metric["interval"]),
        )
        # Blue-green: one whole minute must be over, and up to another one passes before it begins. A canary's Service
        # selects green long before its traffic, so the minute of the switch counts; the one before it has no requests.
        minute = 120 if web.use.hook == "postPromotionAnalysis" else 60

        early = ceil((minute + query["lag_seconds"] - delay) / every)
        assert delay == query["lag_seconds"]  # from then on a minute that is not finished can abort
        assert limits.failure_limit in (0, 60 // every)
        if limits.count is None:
            assert limits.inconclusive_limit * every >= 600
            continue
        assert limits.inconclusive_limit == early + 60 // every
        assert 2 * required(limits) > limits.count - early  # most of the answers about finished minutes
        assert delay + (limits.count - 1) * every >= 240 + 4 * 60  # no earlier than five minutes by one


# --- the watch after the switch


WATCHES = {
    f"{name}/{template['metadata']['name']}": template["spec"]["metrics"]
    for name in NAMES
    for template in objects(name, *TEMPLATES)
    if {metric["name"] for metric in template["spec"]["metrics"]} == {"alb-watch-targets", "alb-watch-errors"}
}
each_watch = each("metrics", WATCHES)


@each_watch
@pytest.mark.parametrize("answer_seconds", [0.1, 2, 8])
def test_the_watch_looks_at_targets_until_its_last_metric_ends(metrics, answer_seconds):
    """While everything is well, targets are still measured when errors is measured for the last time."""
    ended = play(metrics, lambda _name, _second: Phase.SUCCESSFUL, answer_seconds)

    assert ended.phase is Phase.SUCCESSFUL
    assert ended.measured["alb-watch-targets"][-1] >= ended.measured["alb-watch-errors"][-1]


@each_watch
def test_the_watch_aborts_whenever_green_turns_sick(metrics):
    """From whichever second on green is Failed, the second look at it aborts, until the watch itself has ended."""
    by_name = {metric["name"]: metric for metric in metrics}
    interval = seconds(by_name["alb-watch-targets"]["interval"])
    begins = seconds(by_name["alb-watch-targets"].get("initialDelay", "0s"))
    looks = play(metrics, lambda _name, _second: Phase.SUCCESSFUL).measured["alb-watch-targets"]

    for sick_at in (0, *(look + 0.1 for look in looks[:-2])):

        def answer(name, second, sick_at=sick_at):
            return Phase.FAILED if name == "alb-watch-targets" and second >= sick_at else Phase.SUCCESSFUL

        ended = play(metrics, answer)

        assert ended.phase is Phase.FAILED
        assert ended.seconds <= max(sick_at, begins) + 2 * (interval + 1)


@each_watch
def test_the_watch_tolerates_one_bad_look_and_a_wait(metrics):
    """One Failed, whenever it is measured, and waiting for less than the limit beside it end in Successful."""
    good = play(metrics, lambda _name, _second: Phase.SUCCESSFUL)
    looks = good.measured["alb-watch-targets"]
    (limit,) = [metric["inconclusiveLimit"] for metric in metrics if metric["name"] == "alb-watch-targets"]

    for bad in range(len(looks)):
        found = {second: Phase.INCONCLUSIVE for number, second in enumerate(looks) if number < limit}
        found[looks[bad]] = Phase.FAILED

        def answer(name, second, found=found):
            return found.get(second, Phase.SUCCESSFUL) if name == "alb-watch-targets" else Phase.SUCCESSFUL

        assert play(metrics, answer).phase is Phase.SUCCESSFUL


@each_watch
def test_a_watch_that_only_waits_pauses(metrics):
    """Targets that never become healthy after the switch end in a pause, never in a pass."""
    waits = {"alb-watch-targets": Phase.INCONCLUSIVE, "alb-watch-errors": Phase.SUCCESSFUL}

    assert play(metrics, lambda name, _second: waits[name]).phase is Phase.INCONCLUSIVE


@each("metric", {name: metric for name, metric in NAMED_METRICS.items() if "web" in metric["provider"]})
def test_a_proxy_cannot_answer_for_the_provider(metric):
    """Argo leaves its environment's proxy out (`insecure`) where the address is http, and never skips TLS checks."""
    web = metric["provider"]["web"]

    assert web.get("insecure", False) == web["url"].startswith("http://")


STAGES = {"alb-gate": "beforeSwitch", "alb-after-switch": "afterSwitch"}


@each_example
def test_a_template_says_which_stage_it_is_about(name):
    """A gate never passes after the switch, and a watch after promotion never on the preview group."""
    for template in objects(name, *TEMPLATES):
        stage = STAGES.get(template["metadata"]["name"])
        for metric in template["spec"]["metrics"] if stage else ():
            if "web" in metric["provider"]:
                assert f"&stage={stage}" in metric["provider"]["web"]["url"]


@each_rollout
def test_no_way_past_the_gate_is_shipped(name, rollout):  # noqa: ARG001 - one table for all
    """A green that never becomes ready is aborted, and a retry of an aborted blue-green Rollout asks the gate again."""
    spec = rollout["spec"]
    blue_green = spec["strategy"].get("blueGreen")

    assert spec["progressDeadlineAbort"] is True
    assert spec["progressDeadlineSeconds"] > 85 * (3 + 8)
    assert blue_green is None or blue_green["abortScaleDownDelaySeconds"] == 0
