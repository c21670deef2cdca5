"""Builds the real parts from their Go modules into an ignored folder: `python -m tests.real.build`.

With `--check` it only tells what is missing, and fails if something is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import ROOT

KUBERNETES_VERSION = "1.34.4"
ARGO_VERSIONS = ("1.9.1", "1.10.1")
"""The oldest supported line, and the newest version that Go 1.26 builds."""

BUILT = Path(os.environ.get("REAL_PARTS", ROOT / ".real"))
"""Where the built parts are kept; REAL_PARTS names another folder, which several checkouts can share."""

ETCD = ("/usr/bin/etcd", "/usr/local/bin/etcd")
_KUBERNETES = "k8s.io/kubernetes"
_ARGO = "github.com/argoproj/argo-rollouts"
_SMALLER = "-s -w"


def kubernetes_part(name: str) -> Path:
    """Return the program `kube-apiserver` or `kube-controller-manager`."""
    return BUILT / f"kubernetes-{KUBERNETES_VERSION}" / name


def argo_part(version: str, name: str) -> Path:
    """Return the program `rollouts-controller` or `kubectl-argo-rollouts`."""
    return BUILT / f"argo-rollouts-{version}" / name


def argo_crds(version: str) -> Path:
    """Return the folder with the CustomResourceDefinitions of a version."""
    return BUILT / f"argo-rollouts-{version}" / "crds"


def etcd() -> str | None:
    """Return the etcd of this machine, None without one."""
    return shutil.which("etcd") or next((path for path in ETCD if Path(path).exists()), None)


def missing() -> list[str]:
    """Return what has to be built or installed before anything can run."""
    programs = [kubernetes_part(name) for name in ("kube-apiserver", "kube-controller-manager")]
    for version in ARGO_VERSIONS:
        programs += [argo_part(version, name) for name in ("rollouts-controller", "kubectl-argo-rollouts")]
    lacking = [f"{program.parent.name}/{program.name}" for program in programs if not program.exists()]
    return lacking if etcd() else [*lacking, "etcd (Debian: etcd-server)"]


def build() -> None:
    """Build what is missing. Raises CalledProcessError; SystemExit with a sentence if there is no Go."""
    if shutil.which("go") is None:
        raise SystemExit("Go is not on PATH: install Go 1.26 or newer to build the real parts.")
    if not kubernetes_part("kube-controller-manager").exists():
        _build_kubernetes()
    for version in ARGO_VERSIONS:
        if not argo_part(version, "kubectl-argo-rollouts").exists():
            _build_argo(version)


def _build_kubernetes() -> None:
    """Build the API server and the controllers.

    The module's own go.mod replaces its staging modules by folders that the module does not contain, so that a copy
    of it names their published versions. kubectl refuses a server without a version, which is linked in.
    """
    folder = _module(_KUBERNETES, KUBERNETES_VERSION)
    published = "v0" + KUBERNETES_VERSION.removeprefix("1")
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    linked = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in version.items())
    with tempfile.TemporaryDirectory() as directory:
        go_mod = Path(directory) / "go.mod"
        text = (folder / "go.mod").read_text(encoding="utf-8")
        go_mod.write_text(re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 {published}", text), encoding="utf-8")
        shutil.copy(folder / "go.sum", directory)
        Path(directory, "go.sum").chmod(0o644)
        programs = [f"{_KUBERNETES}/cmd/{name}" for name in ("kube-apiserver", "kube-controller-manager")]
        flags = [f"-modfile={go_mod}", "-mod=mod", "-ldflags", f"{_SMALLER} {linked}"]
        _go_build(folder, kubernetes_part(""), flags, programs)


def _build_argo(version: str) -> None:
    """Build the controller and kubectl's plugin, and keep the CRDs beside them."""
    folder = _module(_ARGO, version)
    into = argo_part(version, "")
    shutil.copytree(folder / "manifests" / "crds", argo_crds(version), dirs_exist_ok=True)
    _go_build(folder, into, ["-ldflags", _SMALLER], ["./cmd/rollouts-controller", "./cmd/kubectl-argo-rollouts"])


def _module(path: str, version: str) -> Path:
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{path}@v{version}"], check=True, capture_output=True, text=True
    )
    return Path(json.loads(done.stdout)["Dir"])


def _go_build(folder: Path, into: Path, flags: list[str], programs: list[str]) -> None:
    sys.stderr.write(f"Building {into.name} ...\n")
    into.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["go", "build", *flags, "-o", f"{into}/", *programs],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""},
        check=True,
    )


if __name__ == "__main__":
    if "--check" not in sys.argv:
        build()
    if lacking := missing():
        sys.exit(f"Missing: {', '.join(lacking)}.")
