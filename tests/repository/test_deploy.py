"""What deploy/ grants, probes and watches is what the code asks, serves and counts."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from kubernetes.client import models

from provider import __version__
from provider.checks import QUESTIONS
from provider.checks.question import parse
from provider.http.floors import Floors
from provider.model.reasons import Action, Phase, Reason
from provider.model.records import Verdict
from provider.settings import Settings
from provider.sources.aws.roles import WRITES
from provider.sources.kubernetes.access import rights_for
from provider.sources.kubernetes.objects import MAX_SINGLE_READS
from provider.telemetry import Metrics
from tests import ROOT
from tests.each import each
from tests.scene import GREEN, Scene
from tests.world.cluster import objects

DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
CHART = DEPLOY / "chart"
FILES = sorted(
    path for path in DEPLOY.rglob("*.yaml") if path.name != "kustomization.yaml" and CHART not in path.parents
)
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (DEPLOY / "components").iterdir())
OF_ONE_INSTANCE = [name for name in COMPONENTS if name != "handover"]
"""Components that go together: handover makes an instance of its own."""

APP = {"app.kubernetes.io/name": "alb-provider"}

# What the base and the components consist of: a typo in one of these would be refused only by a cluster.
KINDS = {
    ("apps/v1", "Deployment"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("v1", "ConfigMap"),
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
}


def manifests(path):
    """Every object in a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def manifest(path, kind):
    """The one object of a kind in a file below deploy/."""
    (found,) = [one for one in manifests(DEPLOY / path) if one["kind"] == kind]
    return found


@pytest.fixture
def render():
    """What `kubectl apply -k` would apply, by kind and name."""
    tool = [["kubectl", "kustomize"], ["kustomize", "build"]]
    command = next((one for one in tool if shutil.which(one[0])), None)
    if command is None:
        pytest.skip("Neither kubectl nor kustomize is on PATH, so no kustomization can be rendered.")

    def rendered(directory):
        done = subprocess.run([*command, str(directory)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        found = list(yaml.safe_load_all(done.stdout))
        by_name = {(one["kind"], one["metadata"]["name"]): one for one in found}
        assert len(by_name) == len(found)
        return by_name

    return rendered


def deployment():
    return manifest("base/deployment.yaml", "Deployment")


def pod_spec():
    return deployment()["spec"]["template"]["spec"]


def container():
    (found,) = pod_spec()["containers"]
    return found


# Kustomize


@each("path", {str(path.relative_to(DEPLOY)): path for path in FILES})
def test_every_file_is_kubernetes_objects(path):
    """Every YAML file holds objects of known kinds, named alb-provider; only a Role says which namespace it is for."""
    found = manifests(path)

    assert found
    assert {(one["apiVersion"], one["kind"]) for one in found} <= KINDS
    assert {one["metadata"]["name"] for one in found} == {"alb-provider"}
    assert path.parent.name == "one-namespace" or not any("namespace" in one["metadata"] for one in found)


@each("path", {str(path.relative_to(DEPLOY)): path for path in DEPLOY.rglob("kustomization.yaml")})
def test_no_file_is_forgotten(path):
    """Each kustomization is YAML of its kind, and takes in every file that lies beside it."""
    taken = path.read_text(encoding="utf-8")

    assert yaml.safe_load(taken)["kind"] == (
        "Component" if path.parent.parent.name == "components" else "Kustomization"
    )
    assert [one.name for one in path.parent.iterdir() if one != path and one.name not in taken] == []


def test_all_replicas_together_make_half_of_the_accounts_calls(render):
    """The replicas' ELBv2 calls add up to no more than half of the 10 a second that AWS gives an account."""
    deployment = render(ROOT / "deploy" / "base")["Deployment", "alb-provider"]["spec"]
    (running,) = deployment["template"]["spec"]["containers"]

    (calls,) = [one["value"] for one in running["env"] if one["name"] == "PROVIDER_ELBV2_CALLS_PER_SECOND"]

    assert float(calls) * deployment["replicas"] == Settings.model_fields["elbv2_calls_per_second"].default == 5


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_renders(render, overlay):
    """An overlay renders the whole provider in the namespace, with a region, under the names that the examples ask."""
    found = render(DEPLOY / "overlays" / overlay)

    kinds = {kind for kind, _ in found}
    everywhere = {"Namespace", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"}
    rbac = {"Role", "RoleBinding"} if overlay == "one-namespace" else {"ClusterRole", "ClusterRoleBinding"}
    (env,) = [one["env"] for one in found["Deployment", "alb-provider"]["spec"]["template"]["spec"]["containers"]]
    assert kinds == everywhere | rbac
    for kind in everywhere - {"Namespace"}:
        assert found[kind, "alb-provider"]["metadata"]["namespace"] == "alb-provider"
    assert {one["name"] for one in env} == {
        "AWS_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "PROVIDER_ELBV2_CALLS_PER_SECOND",
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_binding_names_the_rendered_account(render, overlay):
    """In every overlay the role that is there is bound to the provider's ServiceAccount, in its namespace."""
    found = render(DEPLOY / "overlays" / overlay)

    (binding,) = [one for (kind, _), one in found.items() if kind.endswith("Binding")]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in found
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "alb-provider", "namespace": "alb-provider"}]
    assert found["Deployment", "alb-provider"]["spec"]["template"]["spec"]["serviceAccountName"] == "alb-provider"


def test_the_roles_of_aws_are_marked_placeholders(render):
    """Only the IRSA overlay annotates the ServiceAccount, with a role of an account that does not exist."""
    roles = {
        overlay: render(DEPLOY / "overlays" / overlay)["ServiceAccount", "alb-provider"]["metadata"].get("annotations")
        for overlay in OVERLAYS
    }

    annotation = {"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/alb-provider"}
    assert roles == {"irsa": annotation, "one-namespace": None, "pod-identity": None}


@pytest.fixture
def overlay_of(tmp_path):
    """An overlay of one's own: the base with some components, in namespace `elsewhere`."""

    def made(*components):
        shutil.copytree(DEPLOY, tmp_path / "deploy", dirs_exist_ok=True)
        overlay = tmp_path / "deploy" / "overlays" / "own"
        overlay.mkdir(exist_ok=True)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "elsewhere",
            "resources": ["../../base"],
            "components": [f"../../components/{name}" for name in components],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        return overlay

    return made


def test_the_base_and_every_component_render_together(render, overlay_of):
    """The base takes every component, and all that comes out is in the overlay's namespace, whichever that is."""
    found = render(overlay_of(*OF_ONE_INSTANCE))

    assert {(one["apiVersion"], one["kind"]) for one in found.values()} == {
        pair for pair in KINDS if pair[1] not in ("Role", "RoleBinding")
    }
    namespaces = {kind: one["metadata"].get("namespace") for (kind, _), one in found.items()}
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "Namespace"}
    assert namespaces == {kind: None if kind in cluster_wide else "elsewhere" for kind in namespaces}
    assert json.loads(found["ConfigMap", "alb-provider-dashboard"]["data"]["dashboard.json"]) == dashboard()


def test_every_component_renders_with_the_base_alone(render, overlay_of):
    """No component needs another one, so that a cluster may take any of them; each of them changes something."""
    base = render(overlay_of())

    assert [name for name in COMPONENTS if render(overlay_of(name)) == base] == []


def test_tokens_are_mounted_as_a_directory(render, overlay_of):
    """With the token component the provider's tokens file is in the mounted Secret; subPath would never change."""
    pod = render(overlay_of("token"))["Deployment", "alb-provider"]["spec"]["template"]["spec"]
    (found,) = pod["containers"]

    (mount,) = found["volumeMounts"]
    assert {"name": "PROVIDER_TOKENS_FILE", "value": f"{mount['mountPath']}/tokens"} in found["env"]
    assert "subPath" not in mount
    assert [one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == mount["name"]] == [
        "alb-provider-tokens"
    ]


@pytest.mark.parametrize("order", [("monitoring", "tls"), ("tls", "monitoring")])
def test_tls_is_mounted_probed_and_scraped(render, overlay_of, order):
    """In either order of components the files are mounted, and probes, Service and Prometheus say HTTPS."""
    found = render(overlay_of(*order))
    pod = found["Deployment", "alb-provider"]["spec"]["template"]["spec"]
    (running,) = pod["containers"]
    (mount,) = running["volumeMounts"]
    (port,) = found["Service", "alb-provider"]["spec"]["ports"]
    (endpoint,) = found["ServiceMonitor", "alb-provider"]["spec"]["endpoints"]

    files = {one["name"]: one["value"] for one in running["env"] if one["name"].endswith("_FILE")}

    assert files == {
        "PROVIDER_TLS_CERT_FILE": f"{mount['mountPath']}/tls.crt",
        "PROVIDER_TLS_KEY_FILE": f"{mount['mountPath']}/tls.key",
    }
    assert "subPath" not in mount
    assert [one["secret"]["secretName"] for one in pod["volumes"]] == ["alb-provider-tls"]
    for probe, path in (("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert running[probe]["httpGet"] == {"path": path, "port": "http", "scheme": "HTTPS"}
    assert (port["name"], port["targetPort"], port["appProtocol"]) == ("http", "http", "https")
    (scheme,) = endpoint["relabelings"]
    assert found["Service", "alb-provider"]["metadata"]["annotations"] == {"prometheus.io/scheme": "https"}
    assert scheme == {
        "sourceLabels": ["__meta_kubernetes_service_annotation_prometheus_io_scheme"],
        "regex": "(https)",
        "targetLabel": "__scheme__",
    }
    assert (endpoint.get("scheme"), endpoint["port"]) == (None, "http")


def test_floors_are_mounted_as_a_directory_and_valid(render, overlay_of, tmp_path):
    """With the floors component the file is in the mounted ConfigMap, and the shipped one is understood."""
    found = render(overlay_of("floors"))
    pod = found["Deployment", "alb-provider"]["spec"]["template"]["spec"]
    (running,) = pod["containers"]
    (mount,) = running["volumeMounts"]
    path = tmp_path / "floors"
    path.write_text(found["ConfigMap", "alb-provider-floors"]["data"]["floors"], encoding="utf-8")

    assert {"name": "PROVIDER_FLOORS_FILE", "value": f"{mount['mountPath']}/floors"} in running["env"]
    assert "subPath" not in mount
    assert [one["configMap"]["name"] for one in pod["volumes"]] == ["alb-provider-floors"]
    assert Floors(path)


@pytest.mark.parametrize("order", [("token", "handover"), ("handover", "token")])
def test_handover_is_an_instance_of_its_own(render, overlay_of, order):
    """In either order of components handover shares no name, selector or account with the instance that only reads."""
    found, reading = render(overlay_of(*order)), render(overlay_of("token"))
    deployment = found["Deployment", "alb-provider-handover"]["spec"]
    pod = deployment["template"]["spec"]
    (running,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in running["env"]}

    assert {key for key in found if key in reading} == {("Namespace", "elsewhere")} & found.keys()
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert (environment["PROVIDER_HANDOVER"], environment["PROVIDER_TOKENS_FILE"]) == (
        "enabled",
        "/etc/alb-provider/tokens",
    )
    assert Settings(handover="enabled", tokens_file=environment["PROVIDER_TOKENS_FILE"])
    assert pod["serviceAccountName"] == "alb-provider-handover"
    labels = deployment["template"]["metadata"]["labels"]
    of_reading = reading["Service", "alb-provider"]["spec"]["selector"]
    assert not of_reading.items() <= labels.items()
    assert found["Service", "alb-provider-handover"]["spec"]["selector"].items() <= labels.items()
    assert found["ClusterRoleBinding", "alb-provider-handover"]["subjects"][0]["name"] == "alb-provider-handover"


@pytest.mark.parametrize("overlay", ["irsa", "pod-identity"])
def test_the_nodes_role_is_never_used_by_accident(render, overlay):
    """Where the provider has a role of its own, the AWS SDK does not ask the node's metadata service for one."""
    pod = render(DEPLOY / "overlays" / overlay)["Deployment", "alb-provider"]["spec"]["template"]["spec"]
    (running,) = pod["containers"]

    assert {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"} in running["env"]


def test_tls_and_tokens_go_together(render, overlay_of):
    """With both components the pod has both Secrets, each in its own place and readable by the pod's group."""
    pod = render(overlay_of("token", "tls"))["Deployment", "alb-provider"]["spec"]["template"]["spec"]
    (running,) = pod["containers"]

    assert {one["secret"]["secretName"] for one in pod["volumes"]} == {"alb-provider-tokens", "alb-provider-tls"}
    assert {one["secret"]["defaultMode"] for one in pod["volumes"]} == {0o440}
    assert len({one["mountPath"] for one in running["volumeMounts"]}) == 2
    assert built({"apiVersion": "v1", "kind": "Pod", "spec": pod}, "V1Pod")


def test_the_metric_for_tls_reads_what_the_examples_read():
    """The README's metric over HTTPS asks a real question with real parameters, and says that it checks nothing."""
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    web = yaml.safe_load(block)["provider"]["web"]
    url = urlsplit(web["url"])
    question = QUESTIONS[url.path.removeprefix("/v1/")]

    parse(question, [(name, "x") for name, _ in parse_qsl(url.query)])

    assert (url.scheme, url.netloc) == ("https", "alb-provider.alb-provider.svc:8080")
    assert (web["insecure"], web["jsonPath"]) == (True, "{$.measurement}")


# Core objects


def built(value, kind):
    """Make the client library's model of a value: it refuses fields that do not exist and misses those that must."""
    if item := re.fullmatch(r"List\[(.+)\]|Dict\[str, (.+)\]", kind):
        if item[1]:
            assert isinstance(value, list), value
            return [built(one, item[1]) for one in value]
        return {name: built(one, item[2]) for name, one in value.items()}
    if kind in PLAIN:
        assert isinstance(value, PLAIN[kind]), (value, kind)
        return value
    model = getattr(models, kind)
    fields = {written: name for name, written in model.attribute_map.items()}
    assert value.keys() <= fields.keys(), value.keys() - fields.keys()
    return model(**{fields[name]: built(one, model.openapi_types[fields[name]]) for name, one in value.items()})


PLAIN = {"str": str, "int": int, "bool": bool, "object": object}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_core_objects_are_valid(render, overlay):
    """Every rendered object of Kubernetes itself has only fields that exist, of their types, and all that it must."""
    found = render(DEPLOY / "overlays" / overlay)

    for one in found.values():
        assert built(one, f"V1{one['kind']}")


def test_the_network_policy_is_valid():
    """The NetworkPolicy has only fields that exist, of their types."""
    assert built(manifest("components/network-policy/network-policy.yaml", "NetworkPolicy"), "V1NetworkPolicy")


def test_selectors_select_the_pods():
    """Deployment, Service, budget, spread, NetworkPolicy and ServiceMonitor select by labels that are really there."""
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    service = manifest("base/service.yaml", "Service")
    selectors = [
        deployment()["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifest("base/pod-disruption-budget.yaml", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifest("components/network-policy/network-policy.yaml", "NetworkPolicy")["spec"]["podSelector"][
            "matchLabels"
        ],
        *(one["labelSelector"]["matchLabels"] for one in pod_spec()["topologySpreadConstraints"]),
    ]
    (monitored,) = manifest("components/monitoring/service-monitor.yaml", "ServiceMonitor")["spec"]["selector"][
        "matchExpressions"
    ]

    assert labels == APP
    assert selectors == [APP] * 6
    assert service["metadata"]["labels"][monitored["key"]] in monitored["values"]


def test_probes_ask_real_routes(client):
    """Startup and liveness ask /livez, readiness asks /readyz, and both are routes of the application."""
    probes = {name: container()[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}

    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503  # a route, of readers that have not asked anything yet


def test_a_probe_is_more_patient_than_a_question():
    """A node so busy that a probe takes as long as a question is no reason to restart: the timeout is longer."""
    deadline = Settings.model_fields["budget_seconds"].default

    assert container()["livenessProbe"]["timeoutSeconds"] > deadline
    assert container()["readinessProbe"]["timeoutSeconds"] > deadline


def test_ports_agree(client):
    """Container, Service, NetworkPolicy, ServiceMonitor and the examples' URL all mean the port that is listened on."""
    port = Settings.model_fields["port"].default
    (service_port,) = manifest("base/service.yaml", "Service")["spec"]["ports"]
    (ingress,) = manifest("components/network-policy/network-policy.yaml", "NetworkPolicy")["spec"]["ingress"]
    (endpoint,) = manifest("components/monitoring/service-monitor.yaml", "ServiceMonitor")["spec"]["endpoints"]
    examples = [path.read_text(encoding="utf-8") for path in (ROOT / "rollout-examples").rglob("*.yaml")]
    urls = {url for text in examples for url in re.findall(r"https?://alb-provider\.[\w.:-]+", text)}

    assert container()["ports"] == [{"name": "http", "containerPort": port}]
    assert (service_port["port"], service_port["targetPort"], service_port["name"]) == (port, "http", "http")
    assert [one["port"] for one in ingress["ports"]] == [port]
    assert endpoint["port"] == "http"
    assert client.get(endpoint["path"]).status_code == 200
    assert urls == {f"http://alb-provider.alb-provider.svc:{port}"}


def test_the_pod_is_restricted():
    """The pod meets the Pod Security Standard `restricted`, with a read-only root and the image's user."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    (user,) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    assert (
        pod_spec()["securityContext"].items()
        >= {
            "runAsNonRoot": True,
            "runAsUser": int(user[0]),
            "runAsGroup": int(user[1]),
            "seccompProfile": {"type": "RuntimeDefault"},
        }.items()
    )
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"} & pod_spec().keys() == set()
    assert container()["resources"].keys() == {"requests", "limits"}


def test_a_stop_is_waited_for():
    """The grace period covers preStop and the time that queries in flight get; queries still arrive until then."""
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pause > 0
    assert (
        pod_spec()["terminationGracePeriodSeconds"] > pause + Settings.model_fields["graceful_timeout_seconds"].default
    )


def test_two_replicas_of_which_one_always_answers():
    """Neither a new version nor a drained node takes both replicas, and no Service injects a PROVIDER_ variable."""
    deadline = manifest("base/pod-disruption-budget.yaml", "PodDisruptionBudget")["spec"]

    assert deployment()["spec"]["replicas"] == 2
    assert deployment()["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deadline["maxUnavailable"] == 1
    assert pod_spec()["enableServiceLinks"] is False


def test_the_image_is_of_this_version():
    """Deployment, overlays and the image's own label name the version of the package."""
    overlays = [yaml.safe_load((DEPLOY / "overlays" / one / "kustomization.yaml").read_text()) for one in OVERLAYS]
    label = re.search(r'image\.version="([^"]+)"', (ROOT / "Dockerfile").read_text(encoding="utf-8"))

    assert container()["image"] == f"alb-provider:{__version__}"
    assert {image["newTag"] for one in overlays for image in one.get("images", ())} == {__version__}
    assert label
    assert label[1] == __version__


def test_what_must_be_changed_is_marked():
    """Every line that holds a value of somebody's own cluster or account is marked CHANGE."""
    own = re.compile(r"eu-west-1|000000000000|newName|: (shop|argo-rollouts|monitoring)\s*$")
    paths = [path for path in DEPLOY.rglob("*.yaml") if CHART not in path.parents]
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]

    assert [line for line in lines if own.search(line.partition("#")[0]) and "# CHANGE" not in line] == []


# RBAC and IAM


def instance_targets(world, name, *, nodes):
    """A green behind instance targets with externalTrafficPolicy Local, one ready pod on each of these many nodes."""
    scene = Scene(world, name=name, replicas=nodes).build()
    scene.service["spec"] |= {"type": "NodePort", "externalTrafficPolicy": "Local"}
    scene.service["spec"]["ports"][0]["nodePort"] = 30080
    for number, pod in enumerate(scene.pods):
        pod["spec"]["nodeName"] = f"{name}-{number}"
        world.kubernetes.put(objects.node(f"{name}-{number}", instance_id=f"i-{number:017x}"))
    scene.arn = world.aws.target_group(f"{name}-instances", target_type="instance")
    scene.put(objects.target_group_binding(f"k8s-shop-{scene.preview}", service=scene.preview, arn=scene.arn))
    for number in range(nodes):
        world.aws.load_balancers.pin(scene.arn, f"i-{number:017x}", 30080, "healthy")


def rbac_of(call):
    """The (group, resource, verb) that RBAC makes of a request."""
    path = re.fullmatch(
        r"/(?:api|apis/(?P<group>[^/]+))/\w+(?:/namespaces/[^/]+)?/(?P<resource>[a-z]+)(?P<name>/[^/?]+)?(?:\?.*)?",
        call.name,
    )
    assert path, call.name
    assert call.method == "GET" or path["resource"] == "selfsubjectaccessreviews"
    return path["group"] or "", path["resource"], "get" if path["name"] else "list"


def rules(role):
    """Every (group, resource, verb) that a role grants."""
    return sorted(
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


@pytest.fixture
def calls(world, client):
    """What is asked of Kubernetes, as RBAC sees it, by questions that between them need every read there is."""
    scene = Scene(world).build()
    scene.pin(scene.addresses[0], "unhealthy", "Target.FailedHealthChecks")  # since when is this pod ready?
    crowd = Scene(world, name="crowd", replicas=MAX_SINGLE_READS + 1).build()
    for address in crowd.addresses:
        crowd.pin(address, "unhealthy", "Target.FailedHealthChecks")
    instance_targets(world, "local", nodes=2)
    instance_targets(world, "wide", nodes=MAX_SINGLE_READS + 1)
    scene.template()
    scene.template(kind="ClusterAnalysisTemplate")
    scene.analyse()
    scene.analyse("postPromotionAnalysis", clustered=True)
    world.kubernetes_faults.forget_calls()
    assert client.get("/rollouts/shop/web").status_code == 200
    assert client.get("/v1/rollouts").status_code == 200

    answers = {
        (question, name): client.get(f"/v1/{question}?namespace=shop&rollout={name}").json
        for question in ("gate", "target-health")
        for name in ("web", "crowd", "local", "wide")
    }

    phases = {name: answers["target-health", name]["phase"] for name in ("web", "crowd", "local", "wide")}
    assert phases == {"web": "Failed", "crowd": "Failed", "local": "Successful", "wide": "Successful"}
    # The discovery of an API group is no resource: system:discovery gives it to every authenticated client.
    resources = [call for call in world.kubernetes_faults.calls if call.name != "/apis/eks.amazonaws.com"]
    return {rbac_of(call) for call in resources}


def test_the_cluster_role_is_what_the_readers_ask(calls):
    """The ClusterRole grants each verb on each resource that a question asks for, and nothing else, and none twice."""
    granted = rules(manifest("base/cluster-role.yaml", "ClusterRole"))

    assert granted == sorted(calls)


def test_preflight_asks_about_every_right_of_the_cluster_role():
    """What preflight asks the API server about is what queries are granted; the rest is for people."""
    groups = ("elbv2.k8s.aws", "eks.amazonaws.com")
    asked = {(api.group, api.plural, verb) for one in groups for verb, api in rights_for(one, instance_targets=True)}
    granted = set(rules(manifest("base/cluster-role.yaml", "ClusterRole")))

    people = {"analysisruns", "analysistemplates", "clusteranalysistemplates"}
    assert asked == {one for one in granted if one[1] not in people and one[1:] != ("rollouts", "list")}


def test_the_component_preflight_grants_what_it_reads(world, client):
    """Component and base together grant each verb that a preflight asks for; the component adds no other."""
    Scene(world).build()
    world.kubernetes_faults.forget_calls()
    assert client.get("/v1/preflight?namespace=shop&rollout=web").status_code == 200
    asked = {rbac_of(call) for call in world.kubernetes_faults.calls}
    base = set(rules(manifest("base/cluster-role.yaml", "ClusterRole")))
    component = yaml.safe_load((DEPLOY / "components/preflight/kustomization.yaml").read_text(encoding="utf-8"))
    added = [step["value"] for patch in component["patches"] for step in yaml.safe_load(patch["patch"])]
    open_to_all = {one for one in asked if one[1] == "selfsubjectaccessreviews"}  # by system:basic-user

    assert set(rules({"rules": added})) == asked - base - open_to_all
    assert len(open_to_all) == 1


def test_the_role_is_the_cluster_role_without_nodes():
    """The Role of one namespace grants what the ClusterRole does, but for what no Role can grant."""
    everywhere = rules(manifest("base/cluster-role.yaml", "ClusterRole"))

    assert rules(manifest("overlays/one-namespace/role.yaml", "Role")) == [
        one for one in everywhere if one[1] not in {"nodes", "clusteranalysistemplates"}
    ]


def actions_of(world):
    """The IAM actions of the calls so far; the service that a request is signed for has another name in IAM."""
    prefixes = {"elasticloadbalancing": "elasticloadbalancing", "monitoring": "cloudwatch"}
    signed = [(re.search(r"Credential=[^/]+/\d{8}/[^/]+/(\w+)/", call.authorization), call) for call in world.aws.calls]
    return {f"{prefixes[found[1]]}:{call.name}" for found, call in signed if found}


@pytest.fixture
def actions(scene, client):
    """The IAM actions that each question needs, by their names."""
    scene.bind_active()
    found = {}
    for question in QUESTIONS:
        scene.world.aws.faults.forget_calls()
        client.get(f"/v1/{question}?namespace=shop&rollout=web&podTemplateHash={GREEN}")
        found[question] = actions_of(scene.world)
    return found


def test_the_iam_policy_is_what_the_readers_ask(actions):
    """The IAM policy allows each action that a question calls, and nothing else, and none twice."""
    policy = json.loads((DEPLOY / "iam-policy.json").read_text(encoding="utf-8"))

    assert policy["Version"] == "2012-10-17"
    assert {(one["Effect"], one["Resource"]) for one in policy["Statement"]} == {("Allow", "*")}
    assert sorted(action for one in policy["Statement"] for action in one["Action"]) == sorted(
        set().union(*actions.values())
    )


def test_the_iam_policy_of_handover_is_what_it_asks():
    """Its reads are on everything, its two writes on target groups with the controller's tag of one cluster."""
    policy = json.loads((DEPLOY / "handover-iam-policy.json").read_text(encoding="utf-8"))
    reads, writes = policy["Statement"]
    documented = set(
        re.findall(r"`((?:elasticloadbalancing|cloudwatch):\w+)`", (ROOT / "docs" / "handover.md").read_text("utf-8"))
    )

    assert reads["Resource"] == "*"
    assert {action.partition(":")[2][:8] for action in reads["Action"]} == {"Describe", "GetMetri"}
    assert sorted(writes["Action"]) == sorted(WRITES)
    assert writes["Resource"].endswith(":targetgroup/*")
    assert writes["Condition"]["StringEquals"].keys() == {"aws:ResourceTag/elbv2.k8s.aws/cluster"}
    assert documented == {*reads["Action"], *writes["Action"]}


def test_the_iam_policy_of_preflight_is_what_it_asks(scene, client):
    """What preflight asks of AWS is in the two policies together, and the second adds nothing else."""
    scene.bind_active()
    scene.world.aws.faults.forget_calls()
    assert client.get("/v1/preflight?namespace=shop&rollout=web").status_code == 200
    base, more = (json.loads((DEPLOY / f"{name}iam-policy.json").read_text("utf-8")) for name in ("", "preflight-"))
    of_base = {action for one in base["Statement"] for action in one["Action"]}

    assert [action for one in more["Statement"] for action in one["Action"]] == sorted(
        actions_of(scene.world) - of_base
    )


def test_the_readme_names_the_questions_of_each_action(actions):
    """The README's table says of each IAM action exactly which questions need it."""
    rows = re.findall(r"^\| `(\w+:\w+)` \| ([^|]+) \|", README, re.MULTILINE)

    documented = {(action, question) for action, cell in rows for question in re.findall(r"`([\w-]+)`", cell)}

    assert documented == {(action, question) for question, needed in actions.items() for action in needed}


# Monitoring


def dashboard():
    found = json.loads((DEPLOY / "components" / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def alerts():
    rule = manifest("components/monitoring/prometheus-rule.yaml", "PrometheusRule")
    return {one["alert"]: one for group in rule["spec"]["groups"] for one in group["rules"]}


def expressions():
    """Every PromQL expression of the alerts and the dashboard, by where it is."""
    of_panels = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }
    of_variables = {
        one["name"]: re.sub(r"^label_values\((.*), (\w+)\)$", r"sum by (\2) (\1)", one["query"])
        for one in dashboard()["templating"]["list"]
        if one["type"] == "query"
    }
    return {name: one["expr"] for name, one in alerts().items()} | of_panels | of_variables


def series():
    """Every series that the provider exposes once each thing happened, with its labels and the one of the scrape."""
    metrics = Metrics()
    metrics.answered("gate", Verdict(Phase.SUCCESSFUL, Reason.ALL_CHECKS_PASSED, ""), 0.1)
    metrics.refused(500)
    metrics.watches("shop", "web")
    metrics.decided("shop", "web", "gate", Verdict(Phase.SUCCESSFUL, Reason.ALL_CHECKS_PASSED, ""))
    metrics.aws_call("elbv2", throttled=False, retry=False)
    metrics.shared("topology", "read")
    metrics.wrote("RegisterTargets", 1)
    metrics.event("written")
    with metrics.upstream("kubernetes", "get pods"):
        pass
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {sample.name: {"job", *sample.labels} for sample in samples}


SERIES = series()


@each("promql", expressions())
def test_only_real_metrics_and_labels_are_queried(promql):
    """Every metric in a query is one that the provider exposes, and is selected and grouped only by labels it has."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', promql)
    selections = re.findall(r"\b([a-z_]+)(?:\{([^}]*)\})", plain)
    grouped = {label for labels in re.findall(r"\bby \(([^)]*)\)", plain) for label in re.findall(r"\w+", labels)}

    names = {name for name, _ in selections} - {"up"}
    assert set(re.findall(r"\b(?:alb_provider|process)_\w+", plain)) == names
    assert plain.count("{") == len(selections)
    assert names <= SERIES.keys()
    for name, matchers in selections:
        selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert "job" in selected
        assert selected | grouped <= ({"job"} if name == "up" else SERIES[name])


@each("promql", expressions())
def test_queries_compare_with_real_values(promql):
    """Every phase, reason and outcome that a query names is one that an answer can have."""
    words = {"Successful", "Failed", "Inconclusive", *Reason}
    for value in re.findall(r'\b(?:phase|reason|outcome)(?:=~|!~|!=|=)"([^"]*)"', promql):
        for part in value.split("|"):
            assert any(re.fullmatch(part, word) for word in words), part


def test_every_metric_is_watched():
    """Each metric of the provider is on the dashboard or in an alert."""
    watched = set(re.findall(r"\b(?:alb_provider|process)_\w+", " ".join(expressions().values())))
    families = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in watched}

    exposed = {family.name for family in Metrics().registry.collect() if not family.name.startswith("process_")}

    assert exposed - families == set()
    assert {"process_cpu_seconds", "process_resident_memory_bytes"} <= families


def test_needs_a_person_is_every_reason_to_fix():
    """The alert is about every reason that waiting does not change, and about no other."""
    (pattern,) = re.findall(r'reason=~"([^"]*)"', alerts()["AlbProviderRolloutNeedsAPerson"]["expr"])

    assert set(pattern.split("|")) == {one.value for one in Reason if one.action is Action.FIX}


def test_could_not_look_is_every_reason_of_that_kind():
    """The alert counts all reasons why evidence could not be read, and none that is about green."""
    (pattern,) = re.findall(r'reason=~"([^"]*)"', alerts()["AlbProviderCannotLook"]["expr"])

    (left_out,) = re.findall(r'reason!="([^"]*)"', alerts()["AlbProviderCannotLook"]["expr"])

    could_not_look = set(Reason) - set(list(Reason)[: list(Reason).index(Reason.METRICS_INCOMPLETE)])
    assert {reason for reason in Reason if re.fullmatch(pattern, reason)} - {left_out} == could_not_look - {"AwsBudget"}


def test_no_label_is_renamed_by_the_scrape():
    """The provider has no label that Prometheus sets for every target, so none becomes exported_…."""
    (endpoint,) = manifest("components/monitoring/service-monitor.yaml", "ServiceMonitor")["spec"]["endpoints"]
    targets = {"namespace", "pod", "service", "container", "endpoint", "instance"}

    assert targets & set().union(*SERIES.values()) == set()
    assert "honorLabels" not in endpoint


def test_every_alert_has_a_runbook():
    """Each alert says how bad it is, what happens, and links to its own heading in deploy/README.md."""
    headings = {line.removeprefix("### ") for line in README.splitlines() if line.startswith("### ")}

    assert alerts().keys() == headings
    for name, alert in alerts().items():
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"].startswith("https://")
        assert alert["annotations"]["runbook_url"].endswith(f"/deploy/README.md#{name.lower()}")
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_the_runbook_names_real_panels():
    """A panel that the README quotes is on the dashboard."""
    titles = {panel["title"] for panel in dashboard()["panels"]}

    quoted = set(re.findall(r'dashboard\'s "([^"]+)"', README))

    assert quoted
    assert quoted <= titles


def test_every_link_of_the_readme_leads_somewhere():
    """No link of deploy/README.md leads to a file that is not there, and every overlay and component is linked."""
    links = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))

    assert [link for link in links if not (DEPLOY / link).exists()] == []
    assert {Path(link).parent.name for link in links} >= {*OVERLAYS, *COMPONENTS}
