"""Build the readers and the application from the settings."""

import ctypes
import gc
import logging
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from flask import Flask
from gunicorn.arbiter import Arbiter

from provider import settings
from provider.checks.question import Sources
from provider.handover import Handovers
from provider.history.switches import Switches
from provider.http.access import OpenAccess, TokenAccess
from provider.http.admission import Admission
from provider.http.app import create_app
from provider.http.floors import Floors, NoFloors
from provider.http.handover import handover
from provider.http.page.routes import pages
from provider.http.people import people
from provider.http.service import Service
from provider.model.errors import CannotTell, NotConfigured
from provider.settings import Settings
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.registrations import Registrations
from provider.sources.aws.roles import READS, WRITES, Roles
from provider.sources.aws.service import Account
from provider.sources.aws.session import client_config, open_session
from provider.sources.bulkheads import Bulkheads
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect, context_namespace
from provider.sources.kubernetes.events import Events
from provider.sources.kubernetes.reader import Cluster
from provider.sources.shared import Shared
from provider.telemetry import Metrics

GC_THRESHOLD = 20_000
"""Allocations between two runs of the garbage collector (Python: 700). A large answer makes thousands."""

M_MMAP_THRESHOLD, MMAP_BYTES = -3, 64 * 1024
"""glibc's option (malloc.h): blocks of this size and larger are returned to the system as soon as they are free."""

RETRY_SECONDS = 2
"""Pause between attempts to reach an upstream that has not replied since the start."""


def account_of(chosen: Settings, actions: Sequence[str] = READS) -> Account:
    """Return the AWS account of the environment, whose roles may be used for these actions. Raises NotConfigured."""
    session = open_session(settings.aws_region(), client_config(**_timeouts(chosen)))
    loader = session._session.get_component("data_loader")  # noqa: SLF001 - boto3 has no other way to its botocore session
    return Account(
        session,
        connect_timeout_seconds=chosen.connect_timeout_seconds,
        read_timeout_seconds=chosen.read_timeout_seconds,
        pool_size=chosen.read_threads,
        roles=Roles(chosen.assumed_roles, loader, actions),
    )


def sources_of(chosen: Settings, metrics: Metrics) -> Sources:
    """Connect the readers to the cluster and AWS account of the environment. Raises NotConfigured."""
    account = account_of(chosen)
    shared = Shared(Bulkheads(chosen.read_threads), chosen.freshness, metrics, flight_seconds=chosen.budget_seconds)
    connected = partial(connect, pool_size=chosen.read_threads)
    server = ApiServer(connected, shared.other_clocks, **_timeouts(chosen), metrics=metrics)
    return Sources(
        cluster=Cluster(server, shared),
        load_balancers=LoadBalancers(account, shared, metrics, calls_per_second=chosen.elbv2_calls_per_second),
        cloudwatch=CloudWatch(account, shared, metrics),
        shared=shared,
        gathering=ThreadPoolExecutor(chosen.threads, thread_name_prefix="gather"),
        budget_seconds=chosen.budget_seconds,
    )


def _timeouts(chosen: Settings) -> dict[str, float]:
    return {
        "connect_timeout_seconds": chosen.connect_timeout_seconds,
        "read_timeout_seconds": chosen.read_timeout_seconds,
    }


def handovers_of(chosen: Settings, sources: Sources, metrics: Metrics) -> Handovers | None:
    """Return handovers, looked after by a thread, if they are enabled. Raises NotConfigured."""
    if chosen.handover != "enabled":
        return None
    registrations = Registrations(account_of(chosen, WRITES), sources.shared.threads, metrics)
    handovers = Handovers(
        sources, registrations, metrics, context_namespace(), idle_seconds=chosen.handover_undo_seconds
    )
    threading.Thread(target=handovers.loop.run, args=(threading.Event(),), daemon=True, name="handovers").start()
    return handovers


def events_of(chosen: Settings, sources: Sources, metrics: Metrics) -> Events | None:
    """Return Events, written by a background thread, if they are enabled. Raises NotConfigured."""
    if chosen.events != "enabled":
        return None
    events = Events(partial(connect, pool_size=1), metrics, sources.clock, timeout_seconds=chosen.read_timeout_seconds)
    threading.Thread(target=events.run, args=(threading.Event(),), daemon=True, name="events").start()
    return events


def freeze_garbage_collection() -> None:
    """Exempt all current objects from garbage collection: they live until the process ends.

    Otherwise every large answer of Kubernetes or AWS makes the collector visit all data of the client libraries.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def return_large_blocks() -> None:
    """Return the memory of large answers to the system at once, if the C library is glibc.

    By default glibc keeps blocks of up to 32 MiB in a heap for each thread: 50 MiB after 64 concurrent queries about
    Rollouts of 1.5 MiB.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)


def served_app() -> Flask:
    """Return the application for gunicorn; background threads open the connections to Kubernetes and AWS."""
    return_large_blocks()
    chosen, metrics = settings.load(), Metrics()
    try:
        sources = sources_of(chosen, metrics)
        access = TokenAccess(Path(chosen.tokens_file)) if chosen.tokens_file else OpenAccess()
        floors = Floors(Path(chosen.floors_file)) if chosen.floors_file else NoFloors()
        handovers = handovers_of(chosen, sources, metrics)
    except NotConfigured as error:
        logging.getLogger(__name__).critical("%s", error)
        sys.exit(Arbiter.APP_LOAD_ERROR)  # otherwise gunicorn retries forever
    for name, reader in (("kubernetes", sources.cluster.server), ("aws", sources.load_balancers)):
        threading.Thread(target=_warm, args=(name, reader, sources), daemon=True, name=f"warm-{name}").start()
    logging.getLogger(__name__).warning("%s", access.describe())
    switches = Switches(metrics, sources.clock, events=events_of(chosen, sources, metrics))
    if chosen.switch_watch_seconds:
        watch = (chosen.switch_watch_seconds, sources, threading.Event())
        threading.Thread(target=switches.run, args=watch, daemon=True, name="switches").start()
    service = Service(sources, metrics, Admission(chosen.threads), switches, access, floors)
    app = create_app(service, people, pages, partial(handover, handovers=handovers))
    freeze_garbage_collection()
    return app


def _warm(name: str, reader: ApiServer | LoadBalancers, sources: Sources) -> None:
    """Send a cheap request until the upstream has replied once; log each failure with its reason."""
    log = logging.getLogger(__name__)
    while not reader.answered:
        try:
            reader.ping(Deadline(sources.budget_seconds))
        except CannotTell as error:
            log.warning("%s: %s", name, error)
        except Exception:  # a thread that dies prints its error to standard error, past the redaction of the log
            log.exception("%s: the provider has a defect", name)
        if not reader.answered:
            time.sleep(RETRY_SECONDS)
    log.info("%s answers", name)
