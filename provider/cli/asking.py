"""The sources of answers: Kubernetes and AWS, read with the caller's own credentials, or a provider.

Whatever prevents an answer is a ClickException, for which the command line exits with 3.
"""

import json
import logging.config
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import click

from provider import settings
from provider.advice.preflight import live
from provider.checks import body
from provider.checks.parameters import Query
from provider.checks.question import AnyCheck, Sources, answer, parse
from provider.cli.there import Fields, There, hosts_of
from provider.endpoints import endpoints
from provider.history import explanation, overview
from provider.history.switches import Switches
from provider.model.answer import Answer
from provider.model.errors import BadQuery, CannotTell, NotConfigured, RolloutNotFound
from provider.settings import BadSettings, Settings
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.connection import context_namespace
from provider.start import sources_of
from provider.telemetry import Metrics, logging_config

NAMESPACE = click.Option(
    ["--namespace", "-n"],
    default=context_namespace,
    show_default="that of your kubeconfig's context",
    help="Namespace of the Rollout.",
)


def _rollouts(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a Rollout in a shell; whatever prevents that is silent."""
    try:
        source = asks(ctx.params.get("url"), ctx.params.get("token_file"))
        rows = source.rollouts(ctx.params.get("namespace") or context_namespace())["rollouts"]
    except (click.ClickException, NotConfigured):
        return []
    return [row["rollout"] for row in rows if row["rollout"].startswith(incomplete)]


ROLLOUT = click.Option(["--rollout"], required=True, help="Name of the Rollout.", shell_complete=_rollouts)


def _address_option(flag: str) -> click.Option:
    return click.Option(
        [flag],
        envvar="ALB_PROVIDER_URL",
        show_envvar=True,
        help="Ask the provider at this address, such as http://localhost:8080. Default: read Kubernetes and AWS with "
        "your own credentials.",
    )


URL = _address_option("--url")
PROVIDER = _address_option("--provider")
"""The same for a command with another --url."""

TOKEN_FILE = click.Option(["--token-file"], help="File that holds the bearer token to send to that provider.")


@contextmanager
def errors_shown(hint: str = "") -> Iterator[None]:
    """Turn what prevents an answer into a ClickException; `hint` tells what to do without a usable configuration."""
    try:
        yield
    except NotConfigured as error:
        raise click.ClickException(f"{error}{hint}") from error
    except (BadSettings, RolloutNotFound, CannotTell) as error:
        raise click.ClickException(str(error)) from error


def own_settings(level: str = "ERROR") -> Settings:
    """Return the settings of a command that reads with the caller's own credentials, and log from this level on."""
    logging.config.dictConfig(logging_config(level))
    return settings.load()


class Here:
    """Answers from Kubernetes and AWS, read with the caller's own credentials."""

    def __init__(self, flag: str) -> None:
        """Connect at the first query; `flag` is the option for a provider's address, named in errors."""
        self._flag = flag
        self._sources: Sources | None = None

    def ask(self, question: AnyCheck, fields: Fields) -> Answer:
        """Return the answer as JSON. Raises ClickException."""
        try:
            query: Query = parse(question, fields)
        except BadQuery as error:
            sentences = (_flag_problem(problem.parameter, problem.detail) for problem in error.problems)
            raise click.UsageError("; ".join(sentences)) from error
        with self._errors_shown():
            verdict = answer(question, query, self._connected())
        return cast(Answer, json.loads(body.encode(verdict)))

    def explain(self, namespace: str, rollout: str) -> dict[str, Any]:
        """Return why a Rollout moves or not, as JSON. Raises ClickException."""
        with self._errors_shown():
            sources = self._connected()
            switches = Switches(Metrics(), sources.clock)
            explained = explanation.explain(sources, switches, (namespace, rollout), frozenset(endpoints()))
        return dict(json.loads(json.dumps(explanation.observed(explained, switches))))

    def rollouts(self, namespace: str | None) -> dict[str, Any]:
        """Return the Rollouts of a namespace, or of all, as JSON. Raises ClickException."""
        with self._errors_shown():
            return overview.observed(overview.rows(self._connected(), (namespace or "",)))

    def hosts(self, namespace: str, rollout: str) -> dict[str, list[str]]:
        """Return the hosts by which requests reach each of a Rollout's Services. Raises ClickException."""
        with self._errors_shown():
            sources = self._connected()
        query = live.Query(namespace=namespace, rollout=rollout)
        return hosts_of(live.answer(query, sources, Deadline(sources.budget_seconds)))

    def _errors_shown(self) -> AbstractContextManager[None]:
        return errors_shown(f". To ask a running provider instead, use {self._flag}")

    def _connected(self) -> Sources:
        if self._sources is None:
            self._sources = sources_of(own_settings(), Metrics())
        return self._sources


Asks = Here | There
"""Answers queries."""


def asks(url: str | None, token_file: str | None, flag: str = "--url") -> Asks:
    """Return the provider at an address, which the option `flag` gave, or else this process. Raises ClickException."""
    if url is not None:
        return There(url, token_file, flag)
    if token_file is not None:
        raise click.UsageError(f"--token-file is for a provider: give its address with {flag}")
    return Here(flag)


def _flag_problem(parameter: str, detail: str) -> str:
    flag = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in parameter)
    return f"--{flag} {detail}"
