"""The command line, run in this process."""

import io
import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from provider.cli import main as cli
from tests.server import PATIENT

Ran = tuple[int | str | None, str, str]
"""Exit code, standard output and standard error."""


@pytest.fixture
def own_logging() -> Iterator[None]:
    """What a command sets of Python's logging ends with the test; others look at the log too."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    root.handlers[:] = [
        handler for handler in root.handlers if type(handler) is not logging.StreamHandler
    ]  # pytest's are of others


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_logging: None,  # noqa: ARG001 - it is there for what it does
) -> Callable[..., Ran]:
    """Run `alb-provider` with these arguments, and `given` on its standard input; it waits as long as a test does."""
    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, given: str = "") -> Ran:
        monkeypatch.setattr("sys.argv", ["alb-provider", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as exited:
            cli.main()
        return exited.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def run(command_line: Callable[..., Ran], request: pytest.FixtureRequest) -> Callable[..., Ran]:
    """Run the command that the test's module is about (`COMMAND`)."""
    return partial(command_line, *getattr(request.module, "COMMAND", ()))
