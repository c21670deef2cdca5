"""Settings of gunicorn, each with its reason: `alb-provider serve` uses this file and nothing else."""

import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from provider import settings, worker
from provider.errors import NotConfigured
from provider.telemetry import logging_config
from provider.tls import Certificate

_COULD_NOT_START = 3
"""The exit code, as of everything else that the command line could not do."""

try:
    _chosen = settings.load()
    _certificate = Certificate.of(_chosen.tls_cert_file, _chosen.tls_key_file)
except (settings.BadSettings, NotConfigured) as error:
    sys.stderr.write(f"Error: {error}\n")
    sys.exit(_COULD_NOT_START)

bind = f"{_chosen.host}:{_chosen.port}"
workers = 1  # one process: one set of connections, and one place for evidence that questions share
threads = _chosen.connections + worker.SPARE_THREADS  # how many of them answer questions, admission.py says
worker_connections = threads
worker_class = "provider.gunicorn_conf.Worker"
graceful_timeout = _chosen.graceful_timeout_seconds  # longer than any question's budget, so that none is cut off
timeout = _chosen.graceful_timeout_seconds + 30  # a worker that does not even report is replaced
keepalive = 75  # longer than the idle time of the proxies in front, so that they never write to a closed connection
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 4096
control_socket_disable = True  # it would need a writable home directory
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats never wait for a disk
proc_name = "alb-provider"
certfile, keyfile = _chosen.tls_cert_file, _chosen.tls_key_file
accesslog = None  # one line per question is ours; probes and scrapes need none
logconfig_dict = logging_config(_chosen.log_level)


class Worker(worker.Worker):
    """The worker, with its setting."""

    client_timeout_seconds = _chosen.client_timeout_seconds


def ssl_context(_config: object, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return what the next connection is encrypted with; gunicorn asks for every connection, if there are files."""
    assert _certificate is not None  # noqa: S101 - there are
    return _certificate.context()
