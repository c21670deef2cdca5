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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
Six Rollouts begin to move. Next:
  open http://localhost:{port}/ in a browser, or ask in another terminal:
  curl 'localhost:{port}/v1/target-health?namespace=shop&rollout=web'
  .venv/bin/alb-provider explain -n shop --rollout broken --url http://localhost:{port}
"""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT (exit code 0). Exit with 1 if anything else ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="where the service answers (8080)")
    options = parser.parse_args(arguments)
    if not 0 < options.port < 65536:
        parser.error("--port (PORT= of make run) must be between 1 and 65535")
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
    return _run(options.port, fronts, stopping)


def _run(port: int, fronts: tuple[int, int], stopping: threading.Event) -> int:
    # Importing moto takes a second; the check of the port should not wait for it.
    from tests.world.server.http_server import HttpServer  # noqa: PLC0415 - imports moto
    from tests.world.story.cold import warm  # noqa: PLC0415 - imports moto
    from tests.world.story.story import Story  # noqa: PLC0415 - imports moto
    from tests.world.world import World  # noqa: PLC0415 - imports moto

    address = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="provider-demo-"))
        world = stack.enter_context(World())
        # Argo asks in threads of its own, so that nothing waits for the provider, which may be calling the world.
        story = Story(world, address, executor=stack.enter_context(ThreadPoolExecutor()))
        story.set_up()
        for app, at in zip((story.counted["cold"].answer, warm), fronts, strict=True):
            stack.enter_context(HttpServer(app, at))
        child = subprocess.Popen(
            [sys.executable, "-m", "provider.cli.main", "serve"],
            env=environment(world.environment(directory), port),
            process_group=0,  # a Ctrl-C in the terminal reaches only us, and we pass it on once
        )
        stack.callback(_stop, child)
        return _watch(child, story, (port, *fronts), stopping)


def _watch(child: subprocess.Popen[bytes], story: Story, ports: tuple[int, int, int], stopping: threading.Event) -> int:
    """Begin the story once the provider is ready, and wait for the end."""
    (port, preview, production), is_ready = ports, False
    address = f"http://127.0.0.1:{port}"
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    try:
        while not stopping.wait(0.2):
            if (code := child.poll()) is not None:
                return _complain(f"The service ended by itself with exit code {code}; its own words are above.")
            if story.failure is not None:
                return _complain(f"The story broke off: {story.failure!r}.")
            if not is_ready and _is_ready(address):
                is_ready = True
                story.start()
                _say(f"ready: {address} (Rollout cold: preview on port {preview}, production on {production})\n")
                _say(INTRODUCTION.format(port=port))
            if not is_ready and time.monotonic() > give_up_at:
                return _complain(f"The service did not become ready within {READY_WITHIN_SECONDS:.0f} s.")
        return 0
    finally:
        if story.failure is None:
            story.stop()


def environment(world: dict[str, str], port: int) -> dict[str, str]:
    """Return the variables of the service: this machine's own, but for the way to Kubernetes and AWS."""
    # AWS settings and proxies of this machine would lead the service out of the embedded world.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    local = "127.0.0.1,localhost"
    defaults = {"PROVIDER_LOG_LEVEL": "WARNING", "PROVIDER_HOST": "127.0.0.1"}  # Argo asks all the time
    ours = {"PROVIDER_PORT": str(port), "PROVIDER_HANDOVER": "enabled", "PROVIDER_HANDOVER_WITHOUT_TOKENS": "true"}
    return defaults | kept | world | ours | {"NO_PROXY": local, "no_proxy": local}


def _not_free(port: int) -> str:
    """Say why a server could not listen on a port; empty if it could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
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
