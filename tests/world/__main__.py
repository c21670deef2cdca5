"""`python -m tests.world`: the provider against an embedded cluster and an embedded AWS."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from errno import EADDRINUSE
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from tests.world.story.story import Story

READY_WITHIN_SECONDS = 30.0
STOP_WITHIN_SECONDS = 35.0
"""How long the service gets for its graceful stop before it is killed."""

INTRODUCTION = """\
Try:
  curl 'localhost:{port}/v1/target-health?namespace=shop&rollout=web'
  curl 'localhost:{port}/v1/target-health?namespace=shop&rollout=broken'
  curl 'localhost:{port}/v1/errors?namespace=shop&rollout=noisy'
Or open http://localhost:{port}/ in a browser.
Every minute web and big get a new version that becomes healthy and takes over, \
while broken has one pod that always fails its health check.
cold has a green that is slow until it has answered some requests; warm it up:
  .venv/bin/alb-provider warm-up -n shop --rollout cold --provider http://localhost:{port} \\
    --url http://localhost:{preview} --blue-url http://localhost:{production}
handover is handed over before its switch, which leaves no gap: its observed.lastSwitch says so.
The new version of noisy is healthy but answers 5xx: ask /v1/errors about it; and \
/v1/gate?namespace=shop&rollout=big&checks=replicas,target-health asks all the rest about the 250 pods of big.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT (exit code 0). Exit with 1 if anything else ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="where the service answers (8080)")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than life (1)")
    options = parser.parse_args(arguments)
    if not 0 < options.port < 65536:
        parser.error("--port (PORT= of make run) must be between 1 and 65535")
    if options.speed <= 0:
        parser.error("--speed must be more than 0")
    if why := _not_free(options.port):
        another = _free(options.port + 1)
        return _complain(
            f"Port {options.port} cannot be used ({why}). Choose another one: make run PORT={another} "
            f"(python -m tests.world --port {another})."
        )
    fronts = _free(options.port + 1), _free(options.port + 2)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _say(INTRODUCTION.format(port=options.port, preview=fronts[0], production=fronts[1]))
    return _run(options.port, options.speed, fronts, stopping)


def _run(port: int, speed: float, fronts: tuple[int, int], stopping: threading.Event) -> int:
    # Importing moto takes a second; the introduction should not wait for it.
    from tests.world.server.http_server import HttpServer  # noqa: PLC0415 - imports moto
    from tests.world.story.cold import Cold, blue  # noqa: PLC0415 - imports moto
    from tests.world.story.queries import GateQueries, HandoverQueries  # noqa: PLC0415 - imports moto
    from tests.world.story.story import Story, everyone  # noqa: PLC0415 - imports moto
    from tests.world.world import World  # noqa: PLC0415 - imports moto

    with tempfile.TemporaryDirectory(prefix="provider-demo-") as directory, World(speed) as world:
        story = Story(world, cast=everyone(HandoverQueries(port).ask)).start()
        environment = _environment(world.environment(directory), port)
        child = subprocess.Popen(
            [sys.executable, "-m", "provider.cli.main", "serve"],
            env=environment,
            process_group=0,  # a Ctrl-C in the terminal reaches only us, and we pass it on once
        )
        queries = GateQueries(port, story.rollouts)
        queries.start()
        [cold] = [one for one in story.rollouts if isinstance(one, Cold)]
        servers = [HttpServer(app, at).start() for app, at in zip((cold.answer, blue), fronts, strict=True)]
        try:
            return _watch(child, story, port, stopping)
        finally:
            queries.stop()
            _stop(child)
            for server in servers:
                server.stop()
            if story.failure is None:
                story.stop()


def _watch(child: subprocess.Popen[bytes], story: Story, port: int, stopping: threading.Event) -> int:
    """Wait for the end, and print a line once the provider is ready."""
    address, ready = f"http://127.0.0.1:{port}", False
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    while not stopping.wait(0.2):
        code, failure = child.poll(), story.failure
        if code is not None:
            return _complain(f"The service ended by itself with exit code {code}; its own words are above.")
        if failure is not None:
            return _complain(f"The story broke off: {failure!r}.")
        if not ready and _is_ready(address):
            ready = True
            _say(f"ready: {address}\n")
        if not ready and time.monotonic() > give_up_at:
            return _complain(f"The service did not become ready within {READY_WITHIN_SECONDS:.0f} s.")
    return 0


def _environment(world: dict[str, str], port: int) -> dict[str, str]:
    # AWS settings and proxies of this machine would lead the service out of the embedded world.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    local = "127.0.0.1,localhost"
    quiet = {"PROVIDER_LOG_LEVEL": "WARNING"}  # the demo itself asks all the time
    ours = {"PROVIDER_PORT": str(port), "PROVIDER_HANDOVER": "enabled", "PROVIDER_HANDOVER_WITHOUT_TOKENS": "true"}
    return quiet | kept | world | ours | {"NO_PROXY": local, "no_proxy": local}


def _not_free(port: int) -> str:
    """Say why a server could not listen on a port; empty if it could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return "something listens there" if error.errno == EADDRINUSE else str(error.strerror)
    return ""


def _free(port: int) -> int:
    """Return this port, or one that is free."""
    if port < 65536 and not _not_free(port):
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(address: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{address}/readyz", timeout=1).status_code == HTTPStatus.OK
        except requests.RequestException:
            return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
