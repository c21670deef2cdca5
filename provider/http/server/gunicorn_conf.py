"""The settings of gunicorn, each with its reason. `alb-provider serve` uses this file only."""

import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from provider import settings
from provider.http.server import worker
from provider.http.server.tls import Certificate
from provider.model.errors import NotConfigured
from provider.telemetry import logging_config

_COULD_NOT_START = 3
"""The command line's exit code when it could not do what it was told to."""

try:
    _settings = settings.load()
    _certificate = Certificate.of(_settings.tls_cert_file, _settings.tls_key_file)
except (settings.BadSettings, NotConfigured) as error:
    sys.stderr.write(f"Error: {error}\n")
    sys.exit(_COULD_NOT_START)

bind = f"{_settings.host}:{_settings.port}"
workers = 1  # one process, so that all queries share one cache and one set of connections
threads = _settings.connections + worker.SPARE_THREADS  # admission.py limits how many answer queries
worker_connections = threads
worker_class = "provider.http.server.gunicorn_conf.Worker"
graceful_timeout = _settings.graceful_timeout_seconds  # longer than a query may take, so none is cut off
timeout = _settings.graceful_timeout_seconds + 30  # a worker that hangs is replaced
keepalive = 75  # longer than the idle timeout of proxies in front, which must not write to a closed connection
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 4096
control_socket_disable = True  # it needs a writable home directory
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats never wait for a disk
proc_name = "alb-provider"
certfile, keyfile = _settings.tls_cert_file, _settings.tls_key_file
accesslog = None  # we log one line per query; probes and scrapes need none
logconfig_dict = logging_config(_settings.log_level)
# gunicorn's own logger. Never DEBUG: it would log the path of every request, with whatever a client put there.
loglevel = "INFO" if _settings.log_level == "DEBUG" else _settings.log_level


class Worker(worker.Worker):
    """The worker with our client timeout."""

    client_timeout_seconds = _settings.client_timeout_seconds


def ssl_context(_config: object, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the TLS context for the next connection. gunicorn calls this for every one, if TLS is configured."""
    assert _certificate is not None  # noqa: S101 - gunicorn asks only with TLS
    return _certificate.context()
