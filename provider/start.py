"""Builds everything from the settings, once, for the server and the command line."""

import gc
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError
from flask import Flask
from gunicorn.arbiter import Arbiter

from provider import cluster, settings
from provider.access import OpenAccess, TokenAccess
from provider.admission import Admission
from provider.app import create_app
from provider.aws import ATTEMPTS, Account
from provider.budget import Budget
from provider.cloudwatch import CloudWatch
from provider.cluster import Cluster
from provider.errors import CannotTell, NotConfigured, first_line
from provider.home import open_session
from provider.load_balancers import LoadBalancers
from provider.question import Sources
from provider.roles import Roles
from provider.settings import Settings
from provider.sharing import Sharing
from provider.telemetry import Metrics

GARBAGE = 20_000
"""Objects made and not yet freed before the collector looks (Python: 700); one large answer makes some thousands."""

ASK_AGAIN_SECONDS = 2
"""Pause between two attempts to reach an upstream that has not answered since the start."""


def sources_of(chosen: Settings, metrics: Metrics) -> Sources:
    """Connect the readers to the cluster and the account that the environment names. Raises NotConfigured."""
    timeouts = {
        "connect_timeout_seconds": chosen.connect_timeout_seconds,
        "read_timeout_seconds": chosen.read_timeout_seconds,
    }
    patience = Config(
        connect_timeout=chosen.connect_timeout_seconds,
        read_timeout=chosen.read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        session = open_session(settings.aws_region(), patience)
    except BotoCoreError as error:  # AWS_PROFILE names none, or the configuration file is malformed
        raise NotConfigured(f"No usable AWS configuration: {first_line(error)}") from error
    roles = Roles(chosen.assumed_roles, session._session.get_component("data_loader"))  # noqa: SLF001 - boto3 has no other way to its botocore session
    account = Account(
        session,
        connect_timeout_seconds=chosen.connect_timeout_seconds,
        read_timeout_seconds=chosen.read_timeout_seconds,
        pool_size=chosen.read_threads,
        roles=roles,
    )
    connect = partial(cluster.connect, pool_size=chosen.read_threads)
    threads = ThreadPoolExecutor(chosen.read_threads, thread_name_prefix="read")
    sharing = Sharing(threads, chosen.freshness, metrics, flight_seconds=chosen.budget_seconds)
    return Sources(
        cluster=Cluster(connect, sharing, **timeouts, metrics=metrics),
        load_balancers=LoadBalancers(account, sharing, metrics, calls_per_second=chosen.elbv2_calls_per_second),
        cloudwatch=CloudWatch(account, sharing, metrics),
        sharing=sharing,
        threads=threads,
        gathering=ThreadPoolExecutor(chosen.threads, thread_name_prefix="gather"),
        budget_seconds=chosen.budget_seconds,
    )


def spare_the_collector() -> None:
    """Let Python's garbage collector leave alone what was made so far: it stays until the process ends.

    Otherwise every large answer of Kubernetes or AWS makes the collector walk through all the client libraries' data.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def served_app() -> Flask:
    """Return the application that gunicorn serves; its upstream connections are warmed in the background."""
    chosen, metrics = settings.load(), Metrics()
    try:
        sources = sources_of(chosen, metrics)
        access = TokenAccess(Path(chosen.tokens_file)) if chosen.tokens_file else OpenAccess()
    except NotConfigured as error:
        logging.getLogger(__name__).critical("%s", error)
        sys.exit(Arbiter.APP_LOAD_ERROR)  # gunicorn stops then, instead of trying again for ever
    for name, reader in (("kubernetes", sources.cluster), ("aws", sources.load_balancers)):
        threading.Thread(target=_warm, args=(name, reader, sources), daemon=True, name=f"warm-{name}").start()
    logging.getLogger(__name__).warning("%s", access.describe())
    app = create_app(sources, metrics, access, Admission(chosen.threads))
    spare_the_collector()
    return app


def _warm(name: str, reader: Cluster | LoadBalancers, sources: Sources) -> None:
    """Ask an upstream for something cheap until it has answered; each failure is logged with its reason."""
    log = logging.getLogger(__name__)
    while not reader.answered:
        try:
            reader.ping(Budget(sources.budget_seconds, sources.threads))
        except CannotTell as error:
            log.warning("%s: %s", name, error)
        if not reader.answered:
            time.sleep(ASK_AGAIN_SECONDS)
    log.info("%s answers", name)
