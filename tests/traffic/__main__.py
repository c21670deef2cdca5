"""The command: `python -m tests.traffic`; real Argo Rollouts and real requests, in a network namespace of its own.

Nothing leaves the machine: the namespace has only a loopback device, on which every pod's address is local. Needs root
on Linux. Results stay in a folder, and docs/strategies.md is written from all that are there.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

import click

from tests import ROOT
from tests.real.build import etcd, missing
from tests.real.cast import Cast
from tests.real.control_plane import Argo
from tests.real.stage import Pace
from tests.traffic import report
from tests.traffic.alternatives import ALTERNATIVES, aws_cli
from tests.traffic.containers import Containers, KubeProxy
from tests.traffic.load import VERSION, vegeta
from tests.traffic.measures import ARGO_KEY_ID, CLI_KEY_ID
from tests.traffic.scenarios import SCENARIOS
from tests.traffic.trial import Result, Scenario, Size, Trial

RESULTS = ROOT / "bench-results" / "traffic"
DEPLOYED = Path(__file__).parent
"""The kustomization of the provider that answers."""

QUICK, QUICK_AT_ONCE = Size(12, 500, Pace(12)), 3
PARTS = ("scenarios", "alternatives")
PARTS_PLAYED: dict[str, tuple[Sequence[Scenario], Size, int]] = {
    "scenarios": (SCENARIOS, Size(250, 10_000, Pace(250, {}, 15)), 1),
    "alternatives": (ALTERNATIVES, Size(12, 100, Pace(12, {}, 10)), 8),
}
"""The rows of each part, their size, and how many run at the same time: in the second they mostly wait."""

HOLE_TOLERANCE_SECONDS = 0.5
"""Two looks of the data plane, and a moment in which a few requests fail one after another by chance."""

INSIDE = "TRAFFIC_NAMESPACE"
UNSHARED = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A network of its own, and processes of its own, which end with it however it ends."""

NETWORK = "ip link set lo up && ip route add local 10.0.0.0/16 dev lo && ulimit -n $(ulimit -Hn) && exec"


def lacking() -> list[str]:
    """Return what this machine does not have."""
    programs = {
        "HAProxy (Debian: haproxy)": shutil.which("haproxy"),
        "ip (Debian: iproute2)": shutil.which("ip"),
        "unshare (Debian: util-linux)": shutil.which("unshare"),
        f"vegeta (go install github.com/tsenart/vegeta/v12@v{VERSION})": vegeta(),
        "etcd (Debian: etcd-server)": etcd(),
        "root on Linux": sys.platform == "linux" and os.geteuid() == 0,
    }
    built = [part for part in missing() if "etcd" not in part]
    return [name for name, found in programs.items() if not found] + (["what `make real` builds"] if built else [])


def enter_namespace() -> None:
    """Run this command again in a network namespace of its own, which ends with it."""
    command = f'{NETWORK} "$@"'
    inside = ["unshare", *UNSHARED, "sh", "-c", command, "sh", sys.executable, "-m", "tests.traffic", *sys.argv[1:]]
    sys.exit(subprocess.run(inside, env=os.environ | {INSIDE: "1"}, check=False).returncode)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--check", is_flag=True, help="Only tell what is missing.")
@click.option("--quick", is_flag=True, help="12 pods, 500 requests a second, short intervals; only the scenarios.")
@click.option("--part", type=click.Choice(PARTS), help="Only the scenarios, or only what people use instead.")
@click.option("--only", default="", help="Only rows whose title and green contain this.")
@click.option("--rate", type=int, help="Requests per second, if the machine does not carry as many.")
@click.option("--at-once", type=int, help="How many rows run at the same time.")
def main(*, check: bool, quick: bool, part: str | None, only: str, rate: int | None, at_once: int | None) -> None:
    """Play switches with real controllers and real requests."""
    if names := lacking():
        raise click.ClickException(f"`make traffic` needs {', '.join(names)}.")
    if check:
        return
    if INSIDE not in os.environ:
        aws_cli()  # the namespace has no network
        enter_namespace()
    failures = []
    for name in [part] if part else PARTS[:1] if quick else PARTS:
        rows, size, together = PARTS_PLAYED[name]
        size = QUICK if quick and name == "scenarios" else size
        size = replace(size, rate=rate or size.rate)
        chosen = [row for row in rows if only in f"{row.title}, {row.green}"]
        failures += play(name, chosen, size, at_once or (QUICK_AT_ONCE if quick else together))
    report.write(RESULTS)
    if failures:
        raise click.ClickException("\n".join(failures))


def play(part: str, rows: Sequence[Scenario], size: Size, at_once: int) -> list[str]:
    """Play rows, keep their results, and return a sentence for each that did not hold what it promises."""
    failures: list[str] = []
    directory = Path(tempfile.mkdtemp(prefix="traffic-"))
    with Containers(directory) as containers, Cast(directory, containers, deployed=DEPLOYED, audited=True) as cast:
        aws = {name: value for name, value in cast.world.environment(directory).items() if name.startswith("AWS")}
        path = f"{aws_cli()}:{os.environ['PATH']}"
        # As EKS does, both: version 1 of the CLI knows only AWS_DEFAULT_REGION.
        job = {"AWS_ACCESS_KEY_ID": CLI_KEY_ID, "AWS_DEFAULT_REGION": aws["AWS_REGION"], "PATH": path}
        containers.environment = os.environ | aws | job
        numbers = itertools.count()
        for version, flags in sorted({(version, row.flags) for row in rows for version in row.versions}):
            here = [row for row in rows if version in row.versions and row.flags == flags]
            env = os.environ | aws | {"AWS_ACCESS_KEY_ID": ARGO_KEY_ID}
            proxy = KubeProxy(cast.controller.mirror, containers)
            with proxy, Argo(cast.plane, version, *flags, env=env) as argo, ThreadPoolExecutor(at_once) as threads:
                trials = [Trial(cast, argo, row, size, next(numbers), containers.process.pid) for row in here]
                futures = {threads.submit(trial.run): trial.scenario for trial in trials}
                for future in as_completed(futures):
                    failures += judged(part, futures[future], future)
    shutil.rmtree(directory, ignore_errors=True)
    return failures


def judged(part: str, row: Scenario, future: "Future[Result]") -> list[str]:
    """Keep a result, and return what is wrong with it."""
    try:
        result = future.result()
    except Exception as error:  # noqa: BLE001 - the others go on
        click.echo(f"{row.title}, {row.green}: {error}", err=True)
        return [f"{row.title}, green {row.green}: did not end as it should."]
    keep(part, result, row.name)
    about, answers = f"{result.title}, green {result.green}", result.answers
    wrong = []
    if result.promises and answers.failed:
        wrong.append(f"{about}: no request may fail, and {answers.kinds} did.")
    if part == "scenarios" and answers.hole_seconds > result.forecast["worst"] + HOLE_TOLERANCE_SECONDS:
        wrong.append(f"{about}: a hole of {answers.hole_seconds:.1f} s; the forecast says {result.forecast}.")
    return wrong


def keep(part: str, result: Result, name: str) -> None:
    """Write a result into the folder, and say it."""
    folder = RESULTS / part
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{result.argo}-{result.pods}.json"
    path.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    answers = result.answers
    click.echo(
        f"{result.title}, green {result.green}, Argo {result.argo}: {answers.failed:,} of {answers.requests:,} failed "
        f"{answers.kinds}, hole {answers.hole_seconds:.2f} s (forecast {result.forecast}), "
        f"worst {answers.worst_seconds:.2f} s, "
        f"{result.outcome} after {result.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
