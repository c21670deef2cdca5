"""What `python -m tests.world` says first."""

from __future__ import annotations

from tests.world.__main__ import INTRODUCTION


def test_three_questions_to_copy() -> None:
    """The introduction begins with three curls, and each stands on a line of its own."""
    lines = INTRODUCTION.format(port=8080, preview=8081, production=8082).splitlines()

    assert [line.strip() for line in lines if "curl" in line] == [
        "curl 'localhost:8080/v1/target-health?namespace=shop&rollout=web'",
        "curl 'localhost:8080/v1/target-health?namespace=shop&rollout=broken'",
        "curl 'localhost:8080/v1/errors?namespace=shop&rollout=noisy'",
    ]
    assert all("curl" in line for line in lines[1:4])
