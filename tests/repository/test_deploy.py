"""What deploy/ grants, probes and watches is what the code asks, serves and counts."""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

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
from tests.repository.kustomize import by_name, refused, rendered
from tests.scene import GREEN, Scene
from tests.world.cluster import objects

DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
FILES = sorted(path for path in DEPLOY.rglob("*.yaml") if path.name != "kustomization.yaml")
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
    (found,) = [manifest for manifest in manifests(DEPLOY / path) if manifest["kind"] == kind]
    return found


def render(directory):
    """What `kubectl apply -k` would apply, by kind and name."""
    return by_name(rendered(directory))


def running(objects, name="alb-provider"):
    """The pod of a rendered Deployment, its container, and the container's environment."""
    pod = objects["Deployment", name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container, {variable["name"]: variable["value"] for variable in container["env"]}


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
    # A Role of the handover has a name of its own: it lies beside the Role that an overlay may have.
    objects = manifests(path)

    assert objects
    assert {(manifest["apiVersion"], manifest["kind"]) for manifest in objects} <= KINDS
    name = "alb-provider-records" if path.name == "records.yaml" else "alb-provider"
    assert {manifest["metadata"]["name"] for manifest in objects} == {name}
    assert path.parent.name == "one-namespace" or not any("namespace" in manifest["metadata"] for manifest in objects)


@each("path", {str(path.relative_to(DEPLOY)): path for path in DEPLOY.rglob("kustomization.yaml")})
def test_no_file_is_forgotten(path):
    """Each kustomization is YAML of its kind, and takes in every file that lies beside it."""
    taken = path.read_text(encoding="utf-8")

    assert yaml.safe_load(taken)["kind"] == (
        "Component" if path.parent.parent.name == "components" else "Kustomization"
    )
    assert [file.name for file in path.parent.iterdir() if file != path and file.name not in taken] == []


def test_all_replicas_together_make_half_of_the_accounts_calls():
    """The replicas' ELBv2 calls add up to no more than half of the 10 a second that AWS gives an account."""
    objects = render(DEPLOY / "base")
    _, _, environment = running(objects)

    calls = float(environment["PROVIDER_ELBV2_CALLS_PER_SECOND"])
    replicas = objects["Deployment", "alb-provider"]["spec"]["replicas"]
    assert calls * replicas == Settings.model_fields["elbv2_calls_per_second"].default == 5


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_renders(overlay):
    """An overlay renders the whole provider in its namespace, with a region and a role bound to its account."""
    # Only the IRSA overlay annotates the account, with a role of an AWS account that does not exist; no SDK asks the
    # node's metadata service for the node's role.
    objects = render(DEPLOY / "overlays" / overlay)
    pod, _, environment = running(objects)
    everywhere = {"Namespace", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"}
    rbac = {"Role", "RoleBinding"} if overlay == "one-namespace" else {"ClusterRole", "ClusterRoleBinding"}
    (binding,) = [manifest for (kind, _), manifest in objects.items() if kind.endswith("Binding")]
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/alb-provider"}

    assert {kind for kind, _ in objects} == everywhere | rbac
    for kind in everywhere - {"Namespace"}:
        assert objects[kind, "alb-provider"]["metadata"]["namespace"] == "alb-provider"
    assert environment.keys() == {"AWS_REGION", "AWS_EC2_METADATA_DISABLED", "PROVIDER_ELBV2_CALLS_PER_SECOND"}
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in objects
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "alb-provider", "namespace": "alb-provider"}]
    assert pod["serviceAccountName"] == "alb-provider"
    annotations = objects["ServiceAccount", "alb-provider"]["metadata"].get("annotations")
    assert annotations == (role if overlay == "irsa" else None)


@pytest.fixture(scope="module")
def overlay_of(tmp_path_factory):
    """A user's overlay: the base with some components, in namespace `elsewhere`."""
    deploy = tmp_path_factory.mktemp("copy") / "deploy"
    shutil.copytree(DEPLOY, deploy)

    @cache
    def made(*components):
        overlay = deploy / "overlays" / "-".join(("user", *components))
        overlay.mkdir()
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


def test_the_base_and_every_component_render_together(overlay_of):
    """The base takes every component, and all that comes out is in the overlay's namespace, whichever that is."""
    objects = render(overlay_of(*OF_ONE_INSTANCE))
    assert refused(rendered(overlay_of(*OF_ONE_INSTANCE))) == {}

    assert {(manifest["apiVersion"], manifest["kind"]) for manifest in objects.values()} == {
        pair for pair in KINDS if pair[1] not in ("Role", "RoleBinding")
    }
    namespaces = {kind: one["metadata"].get("namespace") for (kind, _), one in objects.items()}
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "Namespace"}
    assert namespaces == {kind: None if kind in cluster_wide else "elsewhere" for kind in namespaces}
    assert json.loads(objects["ConfigMap", "alb-provider-dashboard"]["data"]["dashboard.json"]) == dashboard()


def test_every_component_renders_with_the_base_alone(overlay_of):
    """No component needs another one, so that a cluster may take any of them; each of them changes something."""
    base = render(overlay_of())

    assert [name for name in COMPONENTS if render(overlay_of(name)) == base] == []


@pytest.mark.parametrize(
    ("components", "files", "sources"),
    [
        (["token"], {"TOKENS": "tokens"}, {"alb-provider-tokens"}),
        (["floors"], {"FLOORS": "floors"}, {"alb-provider-floors"}),
        (
            ["token", "tls"],
            {"TOKENS": "tokens", "TLS_CERT": "tls.crt", "TLS_KEY": "tls.key"},
            {"alb-provider-tokens", "alb-provider-tls"},
        ),
    ],
)
def test_files_are_mounted_as_a_directory(overlay_of, components, files, sources):
    """Each file is in a mounted Secret or ConfigMap, which the pod's group may read; with subPath it never changed."""
    pod, container, environment = running(render(overlay_of(*components)))
    directories = {mount["mountPath"] for mount in container["volumeMounts"]}
    mounted = {volume.get("secret", {}).get("secretName") or volume["configMap"]["name"] for volume in pod["volumes"]}

    for setting, file in files.items():
        directory, _, name = environment[f"PROVIDER_{setting}_FILE"].rpartition("/")
        assert (directory in directories, name) == (True, file)
    assert (mounted, len(directories)) == (sources, len(sources))
    assert not any("subPath" in mount for mount in container["volumeMounts"])
    assert {volume["secret"]["defaultMode"] for volume in pod["volumes"] if "secret" in volume} <= {0o440}


@pytest.mark.parametrize("order", [("monitoring", "tls"), ("tls", "monitoring")])
def test_tls_is_probed_and_scraped(overlay_of, order):
    """In either order of components probes, Service and Prometheus say HTTPS."""
    objects = render(overlay_of(*order))
    _, container, _ = running(objects)
    (port,) = objects["Service", "alb-provider"]["spec"]["ports"]
    (endpoint,) = objects["ServiceMonitor", "alb-provider"]["spec"]["endpoints"]
    (scheme,) = endpoint["relabelings"]

    for probe, path in (("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http", "scheme": "HTTPS"}
    assert (port["name"], port["targetPort"], port["appProtocol"]) == ("http", "http", "https")
    assert objects["Service", "alb-provider"]["metadata"]["annotations"] == {"prometheus.io/scheme": "https"}
    assert scheme == {
        "sourceLabels": ["__meta_kubernetes_service_annotation_prometheus_io_scheme"],
        "regex": "(https)",
        "targetLabel": "__scheme__",
    }
    assert (endpoint.get("scheme"), endpoint["port"]) == (None, "http")


def test_the_shipped_floors_are_valid(overlay_of, tmp_path):
    """The floors of the component are understood."""
    path = tmp_path / "floors"
    path.write_text(render(overlay_of("floors"))["ConfigMap", "alb-provider-floors"]["data"]["floors"], "utf-8")

    assert Floors(path)


def test_handover_is_an_instance_of_its_own(overlay_of):
    """Handover shares no name, selector, account or token with the instance that only reads."""
    found, reading = render(overlay_of("handover")), render(overlay_of("token"))
    deployment = found["Deployment", "alb-provider-handover"]["spec"]
    pod, _, environment = running(found, "alb-provider-handover")

    assert {key for key in found if key in reading} == {("Namespace", "elsewhere")} & found.keys()
    assert deployment["replicas"] == 2
    (role,) = [one for (kind, _), one in found.items() if kind == "Role"]
    assert (role["rules"][0]["resources"], len(role["rules"])) == (["leases"], 1)
    assert (environment["PROVIDER_HANDOVER"], environment["PROVIDER_TOKENS_FILE"]) == (
        "enabled",
        "/etc/alb-provider/tokens",
    )
    assert Settings(handover="enabled", tokens_file=environment["PROVIDER_TOKENS_FILE"])
    assert [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one] == [
        "alb-provider-handover-tokens"
    ]
    assert pod["serviceAccountName"] == "alb-provider-handover"
    labels = deployment["template"]["metadata"]["labels"]
    of_reading = reading["Service", "alb-provider"]["spec"]["selector"]
    assert not of_reading.items() <= labels.items()
    assert found["Service", "alb-provider-handover"]["spec"]["selector"].items() <= labels.items()
    assert found["ClusterRoleBinding", "alb-provider-handover"]["subjects"][0]["name"] == "alb-provider-handover"


def test_the_metric_for_tls_reads_what_the_examples_read():
    """The README's metric over HTTPS asks a real question with real parameters, and says that it checks nothing."""
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    web = yaml.safe_load(block)["provider"]["web"]
    url = urlsplit(web["url"])
    question = QUESTIONS[url.path.removeprefix("/v1/")]

    parse(question, [(name, "x") for name, _ in parse_qsl(url.query)])

    assert (url.scheme, url.netloc) == ("https", "alb-provider.alb-provider.svc:8080")
    assert (web["insecure"], web["jsonPath"]) == (True, "{$.measurement}")


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
        *(spread["labelSelector"]["matchLabels"] for spread in pod_spec()["topologySpreadConstraints"]),
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
    assert [port["port"] for port in ingress["ports"]] == [port]
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
    overlays = [
        yaml.safe_load((DEPLOY / "overlays" / overlay / "kustomization.yaml").read_text()) for overlay in OVERLAYS
    ]
    label = re.search(r'image\.version="([^"]+)"', (ROOT / "Dockerfile").read_text(encoding="utf-8"))

    assert container()["image"] == f"alb-provider:{__version__}"
    assert {image["newTag"] for overlay in overlays for image in overlay.get("images", ())} == {__version__}
    assert label
    assert label[1] == __version__


def test_what_must_be_changed_is_marked():
    """Every line that holds a value of somebody's own cluster or account is marked CHANGE."""
    own = re.compile(r"eu-west-1|000000000000|newName|: (shop|argo-rollouts|monitoring)\s*$")
    lines = [line for path in DEPLOY.rglob("*.yaml") for line in path.read_text(encoding="utf-8").splitlines()]

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
    asked = {
        (api.group, api.plural, verb) for group in groups for verb, api in rights_for(group, instance_targets=True)
    }
    granted = set(rules(manifest("base/cluster-role.yaml", "ClusterRole")))

    people = {"analysisruns", "analysistemplates", "clusteranalysistemplates"}
    assert asked == {right for right in granted if right[1] not in people and right[1:] != ("rollouts", "list")}


def test_the_component_preflight_grants_what_it_reads(world, client):
    """Component and base together grant each verb that a preflight asks for; the component adds no other."""
    Scene(world).build()
    rollout = world.kubernetes.get("Rollout", "shop", "web")
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    world.kubernetes.put(rollout | {"spec": rollout["spec"] | {"workloadRef": workload}})
    world.kubernetes_faults.forget_calls()
    assert client.get("/v1/preflight?namespace=shop&rollout=web").status_code == 200
    asked = {rbac_of(call) for call in world.kubernetes_faults.calls}
    base = set(rules(manifest("base/cluster-role.yaml", "ClusterRole")))
    component = yaml.safe_load((DEPLOY / "components/preflight/kustomization.yaml").read_text(encoding="utf-8"))
    added = [step["value"] for patch in component["patches"] for step in yaml.safe_load(patch["patch"])]
    open_to_all = {right for right in asked if right[1] == "selfsubjectaccessreviews"}  # by system:basic-user

    assert set(rules({"rules": added})) == asked - base - open_to_all
    assert len(open_to_all) == 1


def test_the_role_is_the_cluster_role_without_nodes():
    """The Role of one namespace grants what the ClusterRole does, but for what no Role can grant."""
    everywhere = rules(manifest("base/cluster-role.yaml", "ClusterRole"))

    assert rules(manifest("overlays/one-namespace/role.yaml", "Role")) == [
        right for right in everywhere if right[1] not in {"nodes", "clusteranalysistemplates"}
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
    assert {(statement["Effect"], statement["Resource"]) for statement in policy["Statement"]} == {("Allow", "*")}
    assert sorted(action for statement in policy["Statement"] for action in statement["Action"]) == sorted(
        set().union(*actions.values())
    )


def test_the_roles_of_the_readme_trust_the_provider():
    """Every policy that the README's commands name is a file, and the trust policies are for the base's account."""
    named = set(re.findall(r'file(?:://|\(")(deploy/[\w.-]+)', README)) | set(
        re.findall(r" (deploy/trust[\w.-]+) ", README)
    )
    pods, web = (
        json.loads((DEPLOY / f"trust-policy-{how}.json").read_text("utf-8")) for how in ("pod-identity", "irsa")
    )
    account = manifest("base/service-account.yaml", "ServiceAccount")["metadata"]["name"]

    assert named == {
        f"deploy/{name}" for name in ("iam-policy.json", "trust-policy-pod-identity.json", "trust-policy-irsa.json")
    }
    assert all((ROOT / path).exists() for path in named)
    assert pods["Statement"][0]["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert (
        web["Statement"][0]["Condition"]["StringEquals"]["ISSUER:sub"] == f"system:serviceaccount:{account}:{account}"
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
    assert set(writes["Action"]) <= set(WRITES) <= {*reads["Action"], *writes["Action"]}
    assert len(writes["Action"]) == 2
    assert writes["Resource"].endswith(":targetgroup/*")
    assert writes["Condition"]["StringEquals"].keys() == {"aws:ResourceTag/elbv2.k8s.aws/cluster"}
    assert documented == {*reads["Action"], *writes["Action"]}


def test_the_iam_policy_of_preflight_is_what_it_asks(scene, client):
    """What preflight asks of AWS is in the two policies together, and the second adds nothing else."""
    scene.bind_active()
    scene.world.aws.faults.forget_calls()
    assert client.get("/v1/preflight?namespace=shop&rollout=web").status_code == 200
    base, more = (json.loads((DEPLOY / f"{name}iam-policy.json").read_text("utf-8")) for name in ("", "preflight-"))
    of_base = {action for statement in base["Statement"] for action in statement["Action"]}

    assert [action for statement in more["Statement"] for action in statement["Action"]] == sorted(
        actions_of(scene.world) - of_base
    )


def test_the_documentation_names_the_questions_of_each_action(actions):
    """docs/security.md says of each IAM action exactly which questions need it."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| IAM \| `(\w+:\w+)` on `\*` \| ([^|:]+):", text, re.MULTILINE)

    documented = {(action, question) for action, cell in rows for question in re.findall(r"`([\w-]+)`", cell)}

    assert documented == {(action, question) for question, needed in actions.items() for action in needed}


# Monitoring


def dashboard():
    document = json.loads((DEPLOY / "components" / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


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
    metrics.refusals.labels("500").inc()
    metrics.ungated_switches.labels("shop", "web")
    metrics.decided("shop", "web", "gate", Verdict(Phase.SUCCESSFUL, Reason.ALL_CHECKS_PASSED, ""))
    metrics.aws_call("elbv2", throttled=False, retry=False)
    metrics.shared_evidence.labels("topology", "read").inc()
    metrics.written_targets.labels("RegisterTargets").inc()
    metrics.events.labels("written").inc()
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

    assert set(pattern.split("|")) == {reason.value for reason in Reason if reason.action is Action.FIX}


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


def test_every_alert_has_a_runbook(overlay_of):
    """Each alert says how bad it is, what happens, and links to its own heading of the page that one line names."""
    rule = render(overlay_of("monitoring"))["PrometheusRule", "alb-provider"]
    page = rule["metadata"]["annotations"]["alb-provider/runbook"]
    links = {
        one["alert"]: one["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for one in group["rules"]
    }
    headings = {line.removeprefix("### ") for line in README.splitlines() if line.startswith("### ")}

    assert alerts().keys() == headings
    for name, alert in alerts().items():
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert links[name] == f"{page}#{name.lower()}"
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
