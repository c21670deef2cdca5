"""What the worker takes from gunicorn without gunicorn promising it: each name, as gunicorn 27 has it."""

import inspect

import pytest
from gunicorn import http, sock, util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from provider.http.server.worker import Connection, Worker


@pytest.mark.parametrize(("base", "ours"), [(ThreadWorker, Worker), (TConn, Connection)])
def test_what_is_overridden_is_there(base, ours):
    """Every method that replaces one of gunicorn's has its name and its parameters."""
    methods = {name: one for name, one in vars(ours).items() if callable(one) and not name.startswith("_")}
    overridden = {name for name in methods if hasattr(base, name)}

    assert set(methods) - overridden == set()
    for name in overridden:
        theirs, own = inspect.signature(getattr(base, name)), inspect.signature(getattr(ours, name))
        assert list(theirs.parameters) == list(own.parameters), name


@pytest.mark.parametrize(
    ("base", "name"),
    [
        *((ThreadWorker, name) for name in ("cfg", "log", "wsgi", "alive", "sockets", "poller", "nr_conns")),
        *((ThreadWorker, name) for name in ("pending_conns", "keepalived_conns", "max_keepalived")),
        *((TConn, name) for name in ("cfg", "sock", "client", "initialized", "parser", "timeout")),
    ],
)
def test_an_attribute_is_still_used(base, name):
    """Every attribute that we read or set is one that gunicorn's own class, or the worker below it, uses."""
    texts = [inspect.getsource(part) for part in base.__mro__ if part is not object]

    assert any(f"self.{name}" in text or f"conn.{name}" in text for text in texts)


def test_helpers_are_there():
    """The functions and errors that the worker takes from gunicorn exist."""
    assert all(map(callable, (http.get_parser, sock.ssl_context, util.close)))
    assert issubclass(errors.LimitRequestLine, errors.ParseException)
    assert issubclass(errors.LimitRequestHeaders, errors.ParseException)
    assert issubclass(errors.ExpectationFailed, errors.ParseException)
