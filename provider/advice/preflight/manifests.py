"""Manifests as they are read from files: objects, each with its place, and what Kubernetes would refuse in them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import yaml

from provider.advice.preflight.findings import Place
from provider.model.records import GroupHealth, PodState
from provider.sources.kubernetes import schemas
from provider.sources.kubernetes.schemas import FieldPath, SchemaError

Object = Mapping[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace (empty for kinds of the cluster) and name."""

_MOST_NODES = 2_000_000
"""Of YAML with its aliases written out; more is a bomb, not manifests."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Service": ("",),
    "Namespace": ("",),
    "Pod": ("",),
    "Deployment": ("apps", "extensions"),
    "ReplicaSet": ("apps", "extensions"),
    "Ingress": ("networking.k8s.io", "extensions"),
    "IngressClass": ("networking.k8s.io",),
    "HorizontalPodAutoscaler": ("autoscaling",),
    "Rollout": ("argoproj.io", ""),
    "AnalysisTemplate": ("argoproj.io", ""),
    "ClusterAnalysisTemplate": ("argoproj.io", ""),
    "TargetGroupBinding": ("elbv2.k8s.aws", "eks.amazonaws.com"),
    "IngressClassParams": ("elbv2.k8s.aws", "eks.amazonaws.com"),
}
"""The API groups of kinds that are read; the same kind of another group (a Service of Knative) is another kind."""

_CLUSTERED = {
    "Namespace", "Node", "ClusterAnalysisTemplate", "IngressClass", "IngressClassParams", "GatewayClass",
    "MutatingWebhookConfiguration",
}  # fmt: skip


class NotManifests(Exception):
    """The input cannot be read; the text says which file, and where in it."""


def at(node: Any, path: str, default: Any = None) -> Any:
    """Return what is at a path of keys separated by dots; the default where anything on the way is absent."""
    for key in path.split("."):
        if not isinstance(node, Mapping) or node.get(key) is None:
            return default
        node = node[key]
    return node


def name_of(manifest: Object) -> str:
    """Return an object's name."""
    return str(at(manifest, "metadata.name", ""))


def label_of(manifest: Object) -> str:
    """Return an object's kind and name."""
    return f"{manifest.get('kind')}/{name_of(manifest)}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read: the file and the node of its YAML; and what Kubernetes would refuse in it."""

    file: str = ""
    node: yaml.Node | None = None
    errors: tuple[SchemaError, ...] = ()

    def place(self, path: FieldPath) -> Place | None:
        """Return the place of a field, or of the nearest one above it that is written."""
        node, mark = self.node, self.node.start_mark if self.node else None
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            node, mark = found
        return Place(self.file, mark.line + 1, mark.column + 1) if mark else None


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, Any] | None:
    if isinstance(node, yaml.MappingNode):
        found = [(value, key.start_mark) for key, value in node.value if str(key.value) == str(part)]
        return found[-1] if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark
    return None


@dataclass(frozen=True, slots=True)
class Rate:
    """What production carried in the last minutes: requests per second, of all users and of one target.

    `busiest_per_target` is that of the busiest minute, divided by the healthy targets there are now.
    """

    requests_per_second: float = 0.0
    busiest_per_target: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; empty for files."""

    health: tuple[GroupHealth, ...] = ()
    """The target groups of the strategy's Services with their targets."""
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The attributes of each target group by its ARN, in AWS's words; empty if they may not be read."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """TargetGroupBindings whose target group does not exist, each with a sentence."""
    denied: tuple[str, ...] = ()
    """What the provider may not do: a verb and a resource of Kubernetes, or an IAM action, each in a sentence."""
    pods: tuple[PodState, ...] = ()
    """Green's pods."""
    rate: Rate = Rate()
    """Of zeros if CloudWatch could not be read, or counted nothing."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The hosts by which requests reach each Service; empty if listener rules may not be read."""


@dataclass(frozen=True)
class Manifests:
    """Objects by kind, namespace and name; later ones of the same name replace earlier ones, as kubectl does."""

    objects: Mapping[Key, Object]
    sources: Mapping[Key, Source] = field(default_factory=dict)
    is_live: bool = False
    """Whether everything there is was read, so that what is absent does not exist."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Kinds that could not be read, each with a sentence: nothing is known of them."""
    skipped: tuple[str, ...] = ()
    """A sentence for each document that is not a Kubernetes object."""
    seen: Seen = field(default_factory=Seen)
    """What the cluster and AWS say beyond the objects."""
    before: "Manifests | None" = None
    """The manifests before an edit, if they are known."""

    @cached_property
    def _by_kind(self) -> dict[tuple[str, str], list[Object]]:
        by_kind: dict[tuple[str, str], list[Object]] = {}
        for (kind, namespace, _), manifest in self.objects.items():
            by_kind.setdefault((kind, namespace), []).append(manifest)
        return by_kind

    def of(self, kind: str, namespace: str) -> list[Object]:
        """Return every object of a kind in a namespace."""
        return self._by_kind.get((kind, namespace), [])

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object."""
        return self.objects.get((kind, namespace, name))

    def with_one(self, rollout: str) -> "Manifests":
        """Return these manifests without the other Rollouts."""
        objects = {key: one for key, one in self.objects.items() if key[0] != "Rollout" or key[2] == rollout}
        return replace(self, objects=objects, sources={key: self.sources[key] for key in objects})


def joined(several: list[Manifests]) -> Manifests:
    """Return the manifests of several files."""
    objects = {key: manifest for each in several for key, manifest in each.objects.items()}
    sources = {key: source for each in several for key, source in each.sources.items()}
    return Manifests(objects, sources, skipped=tuple(sentence for each in several for sentence in each.skipped))


def parse(text: str, namespace: str = "default", file: str = "") -> Manifests:
    """Read a stream of YAML or JSON documents, Lists included. Raises NotManifests.

    `namespace` is where an object without one goes, as with `kubectl apply`.
    """
    objects: dict[Key, Object] = {}
    sources: dict[Key, Source] = {}
    skipped: list[str] = []
    for document, node in _documents(text, file):
        for manifest, where in _items(document, node):
            if not isinstance(manifest, Mapping) or not isinstance(manifest.get("kind"), str):
                line = f":{where.start_mark.line + 1}" if where is not None else ""
                skipped.append(f"{file or 'standard input'}{line} is not a Kubernetes object and was skipped")
                continue
            checked, errors = schemas.checked(manifest)
            kind = kind_of(checked)
            home = "" if kind in _CLUSTERED else str(at(checked, "metadata.namespace", namespace))
            key = (kind, home, name_of(checked))
            objects[key], sources[key] = checked, Source(file, where, tuple(errors))
    return Manifests(objects, sources, skipped=tuple(skipped))


def of_cluster(objects: Mapping[Key, Object], unread: Mapping[str, str], seen: Seen) -> Manifests:
    """Return the objects of a cluster; the API server has checked them, and may know newer fields than we do."""
    checked = {key: schemas.checked(manifest)[0] for key, manifest in objects.items()}
    return Manifests(checked, is_live=True, unread=unread, seen=seen)


def kind_of(manifest: Object) -> str:
    """Return the kind, with the group for one that only shares its kind with another."""
    kind, version = str(manifest.get("kind")), str(manifest.get("apiVersion", ""))
    group = version.rpartition("/")[0]
    return kind if not version or group in GROUPS.get(kind, (group,)) else f"{kind}.{group}"


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes' own tools read it: no dates, no numbers to the base of 60."""


_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":timestamp", ":int", ":float", ":value"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)",
    "tag:yaml.org,2002:float": r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
}
_Loader.yaml_implicit_resolvers = _RESOLVERS
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list("-+.0123456789"))


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # as PyYAML documents it
    """The same by libyaml, which is ten times as fast, and refuses some escapes that others take."""


_FastLoader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _documents(text: str, file: str) -> list[tuple[Any, yaml.Node]]:
    """Return each document and its node. Raises NotManifests."""
    where = file or "the input"
    try:
        try:
            return list(_read(_FastLoader(text), where))
        except yaml.YAMLError:
            return list(_read(_Loader(text), where))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise NotManifests(f"{where} is not YAML{f' (line {mark.line + 1})' if mark else ''}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise NotManifests(f"{where} has a value that is not valid in YAML") from error


def _read(loader: Any, where: str) -> Iterator[tuple[Any, yaml.Node]]:
    try:
        while loader.check_node():
            node = loader.get_node()
            if _size(node, {}) > _MOST_NODES:
                raise NotManifests(f"{where} has aliases that make it too large")
            yield loader.construct_document(node), node
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many nodes there are with every alias written out; raises ValueError for one inside of itself."""
    if sizes.get(id(node)) == -1:
        raise ValueError("an alias inside of itself")
    if id(node) not in sizes:
        sizes[id(node)] = -1
        children = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]


def _items(document: Any, node: yaml.Node) -> Iterator[tuple[Any, yaml.Node | None]]:
    """Yield a document, or the items of a List."""
    if isinstance(document, Mapping) and document.get("kind") == "List":
        items, found = document.get("items"), _child(node, "items")
        for number, item in enumerate(items if isinstance(items, list) else []):
            child = _child(found[0], number) if found else None
            yield item, child[0] if child else None
    elif document is not None:
        yield document, node
