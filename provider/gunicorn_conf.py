"""Settings of gunicorn, each with its reason: `alb-provider serve` uses this file and nothing else."""

from http import HTTPStatus
from pathlib import Path
from socket import socket

from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from provider import settings
from provider.problems import HEADERS, MEDIA_TYPE, problem
from provider.telemetry import logging_config

_chosen = settings.load()

bind = f"{_chosen.host}:{_chosen.port}"
workers = 1  # one process: one set of connections, and one place for evidence that questions share
threads = _chosen.threads  # a thread waits for Kubernetes and AWS most of its time
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
accesslog = None  # one line per question is ours; probes and scrapes need none
logconfig_dict = logging_config(_chosen.log_level)


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread, but what HTTP itself forbids is refused with a problem document instead of an HTML page."""

    def handle_error(self, req: object, client: socket, addr: object, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's signature
        """Answer a request that never reached the application."""
        status = next((one for kind, one in _STATUS.items() if isinstance(exc, kind)), 400)
        if not isinstance(exc, errors.ParseException | OSError):
            status = 500
            self.log.error("request failed outside the application", exc_info=exc)
        detail = (
            "The provider has a defect." if status == HTTPStatus.INTERNAL_SERVER_ERROR else "This is not valid HTTP."
        )
        content = problem(status, detail)
        headers = {"Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), **HEADERS}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n"
        try:
            client.sendall(head.encode() + content)
        except OSError:
            self.log.debug("The client was gone before it could be refused.")


_STATUS = {errors.LimitRequestLine: 414, errors.LimitRequestHeaders: 431, errors.ExpectationFailed: 417}
