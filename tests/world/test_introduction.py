"""What `python -m tests.world` says first."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.world.__main__ import INTRODUCTION, environment, main

if TYPE_CHECKING:
    import pytest


def test_a_taken_port(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is named, with another one that is free, for make and for Python."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = main(["--port", str(port)])

    says = capsys.readouterr().err
    assert code == 1
    assert says.startswith(f"Port {port} cannot be used (something listens there). Choose another one: make run PORT=")
    assert f"PORT={port} " not in says


def test_three_next_steps() -> None:
    """It prints three next steps, each on a line of its own, with the port in it."""
    _, *steps = INTRODUCTION.format(port=8080).splitlines()

    assert len(steps) == 3
    assert all("localhost:8080" in step for step in steps)


def test_nobody_else_reaches_it() -> None:
    """The service listens on this machine only, as it has no token."""
    assert environment({}, 8080)["PROVIDER_HOST"] == "127.0.0.1"
