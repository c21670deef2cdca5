"""A headless Chromium, and the provider of `make run` for it to look at."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests import ROOT
from tests.server import PATIENCE

SCREENSHOTS = ROOT / "screenshots"
"""Ignored by git; for a person to look through after a run."""

SETTLED_SECONDS = 20
"""After which every Rollout of the demo has been asked about, and has pods."""


def chromium() -> Any:
    """Return Playwright's way to Chromium and the program, or skip."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("There is no Chromium on PATH, so no page can be looked at.")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - takes a second, and is for long tests only

    return sync_playwright, program


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    start, program = chromium()
    with start() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def demo(browser: Any) -> Iterator[str]:  # noqa: ARG001 - skipped without one
    """The address of `make run`, once its Rollouts move."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROVIDER_", "AWS_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.world", "--port", str(port)],
        env=kept,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address)
        time.sleep(SETTLED_SECONDS)
        yield address
    finally:
        process.terminate()
        process.wait(40)


def wait_until_ready(address: str) -> None:
    """Wait until the provider is ready."""
    until = time.monotonic() + PATIENCE
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                if session.get(f"{address}/readyz", timeout=2).ok:
                    return
            except requests.RequestException:
                assert time.monotonic() < until
            time.sleep(0.2)


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in a window of its own; at the end there was no script error and no request to another host."""
    contexts, troubles, hosts = [], [], set()

    def note(line: Any, refused: bool) -> None:  # noqa: FBT001 - one of two arguments
        own = refused and line.text.startswith("Failed to load resource") and "/static/" not in line.location["url"]
        if line.type in {"error", "warning"} and not own:
            troubles.append(line.text)

    def open_page(address: str, *, refused: bool = False, **context: Any) -> Any:
        """With `refused` the page's own status is no trouble, which Chromium writes to the console."""
        window = browser.new_context(**context)
        contexts.append(window)
        page = window.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda line: note(line, refused))
        page.on("request", lambda asked: hosts.add(asked.url.split("/")[2]))
        page.goto(address)
        return page

    yield open_page
    for window in contexts:
        window.close()
    assert troubles == []
    assert {host.partition(":")[0] for host in hosts} <= {"127.0.0.1", "localhost"}
