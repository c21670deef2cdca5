"""What `python -m tests.world` says first."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.world.__main__ import INTRODUCTION, main

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


def test_three_questions_to_copy() -> None:
    """The introduction begins with three curls, and each stands on a line of its own."""
    lines = INTRODUCTION.format(port=8080, preview=8081, production=8082).splitlines()

    assert [line.strip() for line in lines if "curl" in line] == [
        "curl 'localhost:8080/v1/target-health?namespace=shop&rollout=web'",
        "curl 'localhost:8080/v1/target-health?namespace=shop&rollout=broken'",
        "curl 'localhost:8080/v1/errors?namespace=shop&rollout=noisy'",
    ]
    assert all("curl" in line for line in lines[1:4])
