"""The connection to the cluster: which kubeconfig or ServiceAccount it uses, and what each request sends of it.

The client library (kubernetes 37) reads the files. We do three things ourselves, because it differs from kubectl:

- White space around a token is dropped. A token that still fits no header is KubernetesUnauthorized; the library would
  raise an error that quotes it.
- The user that a kubeconfig impersonates (`as`, `as-groups` …) is sent; the library ignores it, so other rights apply.
- Errors of the library reach no sentence and no log: some quote the kubeconfig with its token.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from os import environ
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
from yaml import MarkedYAMLError, YAMLError

from provider import __version__
from provider.model.errors import CannotTell, NotConfigured
from provider.model.reasons import Reason
from provider.redaction import hide

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's token and the cluster's certificate authority."""

HOME_KUBECONFIG = "~/.kube/config"

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Ten times the largest object that etcd stores, and a page of 1,000 whole pods."""

_TOKEN = "BearerToken"  # noqa: S105 - the client library's name for the header, not a token
# tests/upstream/urllib3-no-status-retries.sh
_ONE_RETRY = urllib3.Retry(total=1, connect=1, read=1, redirect=0, status=0, other=0, raise_on_status=False)
_HEADER_VALUE = re.compile(r"[!-~]+")
_EXTRA_KEY_SAFE = "!#$&'*+-.^_`|~"
"""Characters that client-go does not escape in the header names of `as-user-extra`."""

Headers = tuple[tuple[str, str], ...]

_NO_QUERY: Mapping[str, str] = {}


class Client(ApiClient):
    """The library's connections and credentials, with a lean way to send a request and with impersonation."""

    def __init__(self, configuration: Configuration, impersonated: Headers = ()) -> None:
        """Send as the configuration says."""
        super().__init__(configuration)
        self.user_agent = f"alb-provider/{__version__}"  # the audit log shows it
        self._impersonated = impersonated  # tests/upstream/kubernetes-impersonation-ignored.sh
        manager, host = self.rest_client.pool_manager, configuration.host
        self._open: Callable[..., Any] = manager.urlopen
        self._root = host
        if manager.proxy is None:  # a proxy may need the whole URL; otherwise one pool of connections is enough
            self._open, self._root = manager.connection_from_url(host).urlopen, urllib3.util.parse_url(host).path or ""

    def send(
        self,
        method: str,
        path: str,
        timeouts: tuple[float, float],
        *,
        accept: str = "application/json",
        query: Mapping[str, str] = _NO_QUERY,
        content: object = None,
        compressed: bool = False,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> tuple[int, bytes]:
        """Send one request, with `content` as JSON; return the status and the body.

        `timeouts` are the seconds to connect and to wait for an answer; `compressed` accepts gzip. `on_headers` gets
        the answer's headers before its body is read. A body larger than MAX_BODY_BYTES is cut after one byte more, and
        the connection is closed. Raises CannotTell (KubernetesUnauthorized) without usable credentials, urllib3's
        HTTPError, and OSError. The library's `call_api` checks and copies headers, path and query several times, which
        costs more than sending them.
        """
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if compressed:
            headers["Accept-Encoding"] = "gzip"
        response = self._open(
            method,
            f"{self._root}{path}{'?' + urlencode(query, quote_via=quote) if query else ''}",
            body=None if content is None else msgspec.json.encode(content),
            headers=self._with_credentials(headers),
            timeout=urllib3.Timeout(*timeouts),
            preload_content=False,
        )
        if on_headers is not None:
            on_headers(response.headers)
        body = bytes(response.read(MAX_BODY_BYTES + 1, decode_content=True))
        if len(body) > MAX_BODY_BYTES:
            response.close()
        response.release_conn()
        return response.status, body

    def _with_credentials(self, headers: dict[str, str]) -> Mapping[str, str]:
        """Add the headers of every request; renews the token."""
        settings = self.configuration.auth_settings().values()
        headers = {**self.default_headers, **{auth["key"]: auth["value"] for auth in settings}, **headers}
        # Only impersonation sends a header more than once.
        return urllib3.HTTPHeaderDict([*headers.items(), *self._impersonated]) if self._impersonated else headers


def connect(*, pool_size: int, service_account: Path = SERVICE_ACCOUNT) -> Client:
    """Return a client for the cluster of KUBECONFIG, the pod's ServiceAccount or ~/.kube/config, in this order.

    Raises NotConfigured if none of them is usable.
    """
    kubeconfig = environ.get("KUBECONFIG", "").strip()
    in_cluster = not kubeconfig and "KUBERNETES_SERVICE_HOST" in environ
    source = "the pod's ServiceAccount" if in_cluster else "KUBECONFIG" if kubeconfig else HOME_KUBECONFIG
    configuration = Configuration()
    try:
        if in_cluster:
            files = str(service_account / "token"), str(service_account / "ca.crt")
            InClusterConfigLoader(*files).load_and_set(configuration)
            impersonated: Headers = ()
        else:
            impersonated = _load_kubeconfig(kubeconfig or HOME_KUBECONFIG, configuration)
        if configuration.refresh_api_key_hook is not None:
            configuration.refresh_api_key_hook = _trimmed(configuration.refresh_api_key_hook)
        configuration.retries = _ONE_RETRY  # the library's default is three
        configuration.connection_pool_maxsize = pool_size
        configuration.keep_alive = True
        return Client(configuration, impersonated)
    except NotConfigured:
        raise
    except Exception as error:  # noqa: BLE001 - a malformed file makes the library raise any of Python's errors
        raise NotConfigured(f"Cannot use {source} to reach Kubernetes: {_why(error)}") from None


def context_namespace(service_account: Path = SERVICE_ACCOUNT) -> str:
    """Return the namespace that kubectl would use: that of the context or of the pod, else `default`."""
    kubeconfig = environ.get("KUBECONFIG", "").strip()
    try:
        if not kubeconfig and "KUBERNETES_SERVICE_HOST" in environ:
            return (service_account / "namespace").read_text(encoding="utf-8").strip() or "default"
        merged = KubeConfigMerger(kubeconfig or HOME_KUBECONFIG).config
        loader = KubeConfigLoader(config_dict=merged, config_base_path=None)
        return str(loader.current_context["context"].get("namespace") or "default")
    except Exception:  # noqa: BLE001 - as in `connect`, which says what is wrong with the file
        return "default"


def _load_kubeconfig(path: str, configuration: Configuration) -> Headers:
    """Read a kubeconfig into the configuration; return the headers of the user that it impersonates."""
    # Without the path the library uses the value of KUBECONFIG when it was imported.
    # tests/upstream/kubernetes-kubeconfig-at-import.sh
    merged = KubeConfigMerger(path).config
    if merged is None:
        raise NotConfigured(
            "There is no kubeconfig: neither KUBECONFIG nor ~/.kube/config names a file that exists"
            if path == HOME_KUBECONFIG
            else "The file that KUBECONFIG names does not exist"
        )
    loader = KubeConfigLoader(config_dict=merged, config_base_path=None)
    loader.load_and_set(configuration)
    name = loader.current_context["context"].get("user")
    user = merged["users"].get_with_name(name, safe=True) if name else None
    return tuple(_impersonated(user["user"].value)) if user is not None and user["user"] else ()


def _impersonated(user: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the headers of the user that a kubeconfig's user acts as: those of kubectl. Raises NotConfigured."""
    name, uid = user.get("as"), user.get("as-uid")
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not name:
        if uid or groups or extra:
            raise NotConfigured("The kubeconfig's user has as-uid, as-groups or as-user-extra, but no `as`: add it")
        return
    headers = [("Impersonate-User", name)]
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        headers += [(f"Impersonate-Extra-{quote(key, safe=_EXTRA_KEY_SAFE)}", value) for value in values]
    for header, value in headers:
        if not (isinstance(value, str) and value.isascii() and value.isprintable()):
            raise NotConfigured(f"The kubeconfig's user impersonates what is not printable ASCII text ({header})")
        yield header, value


def _trimmed(renew: Callable[[Any], None]) -> Any:
    """Return the hook that the library calls before each request, with the token trimmed.

    The library's hook writes into a separate object, so that no other thread can use the token before it is trimmed.
    """

    def hook(configuration: Configuration) -> None:
        renewed = SimpleNamespace(api_key={})
        try:
            renew(renewed)
            scheme, _, token = renewed.api_key[_TOKEN].partition(" ")
        except Exception as error:  # noqa: BLE001 - a file that is gone, a login that fails: the library raises anything
            raise _unauthorized(_why(error)) from None
        token = token.strip()
        hide(token)
        if not _HEADER_VALUE.fullmatch(token):
            raise _unauthorized("the token is empty" if not token else "the token is not one word of ASCII characters")
        configuration.api_key[_TOKEN] = f"{scheme} {token}"

    return hook


def _unauthorized(why: str) -> CannotTell:
    return CannotTell(
        Reason.KUBERNETES_UNAUTHORIZED,
        f"The provider has no usable Kubernetes credentials ({why}): renew its ServiceAccount token or kubeconfig",
    )


def _why(error: Exception) -> str:
    """Describe an error without quoting a file: the library's messages may contain the user with its token."""
    match error:
        case MarkedYAMLError() if error.problem_mark is not None:
            return f"it is not valid YAML (line {error.problem_mark.line + 1})"
        case YAMLError():
            return "it is not valid YAML"
        case ConfigException():
            missing = re.search(r"Expected (?:key|object with name) ([\w.@:-]{1,80}) in", str(error))
            return f"it has no {missing[1]}" if missing else "it is incomplete"
        case OSError():
            return str(error.strerror or type(error).__name__)
        case _:
            return f"it is malformed ({type(error).__name__})"
