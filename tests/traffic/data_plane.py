"""The data plane of a load balancer: HAProxy, whose servers follow the embedded AWS's target states.

What a real load balancer documents and this one does: healthy targets by round robin; all of them if every one is
unhealthy (fail open); 503 while none is healthy and some are initial, or there is none; no new request to a draining
target; the connections of one that is gone are closed. Rules with hosts and weights are those of the embedded AWS.
"""

import csv
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from tests.real.control_plane import Program
from tests.real.loop import Loop
from tests.traffic.containers import NODE_ADDRESSES
from tests.world.aws.api import AwsApi
from tests.world.aws.cloudwatch import Datum
from tests.world.aws.moto_elbv2 import listener_rules, settings
from tests.world.aws.publication import Publication

FOLLOW_SECONDS = 0.1
BACKENDS = ("g0", "g1", "g2", "g3")
SHARES = 100
COMMANDS_TOGETHER = 60
"""Commands in a line of HAProxy's runtime API, which fit into its buffer of 16 KiB."""

_CONFIGURATION = """
global
  stats socket {directory}/haproxy.sock mode 600 level admin
  maxconn 9000
  nbthread {threads}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 30s
  retries 0
  http-reuse always
  balance roundrobin
  default-server pool-purge-delay 30s
frontend users
  bind {addresses}
  http-request set-var(txn.share) rand({shares})
  http-request set-var(txn.rule) req.hdr(host),concat(/,txn.share)
  use_backend %[var(txn.rule),map({directory}/rules.map,nothing)]
backend nothing
  http-request deny deny_status 503
"""


@dataclass(frozen=True)
class Counts:
    """Requests so far: answered by the targets of each backend, and by the load balancer itself."""

    requests: Counter[str]
    target_5xx: Counter[str]
    connection_errors: Counter[str]
    own_5xx: int


class DataPlane(Loop):
    """One load balancer at some local addresses. A context manager; its minutes are published to CloudWatch."""

    def __init__(self, aws: AwsApi, load_balancer: str, directory: Path, addresses: Iterable[str], slots: int) -> None:
        super().__init__(f"data plane {load_balancer}", FOLLOW_SECONDS)
        directory.mkdir()
        self._aws = aws
        self._arn = aws.load_balancer(load_balancer)
        self._socket = directory / "haproxy.sock"
        self._groups: dict[str, str] = {}
        self._servers: dict[str, dict[tuple[str, int], tuple[int, str]]] = {name: {} for name in BACKENDS}
        self._free: dict[str, list[int]] = {name: list(range(slots, 0, -1)) for name in BACKENDS}
        self._rules: dict[str, str] = {}
        self._minute = _this_minute()
        self._counted = Counts(Counter(), Counter(), Counter(), 0)
        self._publication = Publication(aws.cloudwatch, Random(0))
        (directory / "rules.map").write_text("", encoding="utf-8")
        self._map = directory / "rules.map"
        configuration = directory / "haproxy.cfg"
        binds = ",".join(f"{address}:80" for address in addresses)
        text = _CONFIGURATION.format(directory=directory, addresses=binds, shares=SHARES, threads=1)
        for name in BACKENDS:
            text += f"backend {name}\n  server-template s 1-{slots} 10.0.255.255:1 disabled\n"
        configuration.write_text(text, encoding="utf-8")
        self.program = Program(directory, "haproxy", "-db", "-f", configuration)

    def __enter__(self) -> Self:
        self.program.start()
        deadline = time.monotonic() + 20
        while not self._socket.exists():
            if self.program.has_ended() or time.monotonic() > deadline:
                raise RuntimeError(f"HAProxy did not start: {self.program.tail()}")
            time.sleep(0.1)
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.program.stop()

    def step(self) -> None:
        """Follow rules and targets once, and publish a minute that is over."""
        rules = listener_rules(self._arn)
        commands = []
        for _, weights in rules:
            for arn in weights:
                if arn not in self._groups:
                    self._groups[arn] = BACKENDS[len(self._groups)]
        for arn, backend in self._groups.items():
            states = {
                (id_, port): health.state
                for id_, port, health in self._aws.load_balancers.health(settings(arn))
                if health.state != "unused"
            }
            commands += self._follow(backend, serving(states))
        commands += self._follow_rules(rules)
        for start in range(0, len(commands), COMMANDS_TOGETHER):
            self._tell(";".join(commands[start : start + COMMANDS_TOGETHER]))
        if (minute := _this_minute()) != self._minute:
            self._close_minute()
            self._minute = minute
        self._publication.publish(datetime.now(UTC))

    def _follow(self, backend: str, wanted: Mapping[tuple[str, int], str]) -> list[str]:
        """Return the commands that bring the servers of a backend to these states."""
        servers, commands = self._servers[backend], []
        for target in [target for target in servers if target not in wanted]:
            slot, _ = servers.pop(target)
            self._free[backend].insert(0, slot)
            server = f"{backend}/s{slot}"
            commands += [f"set server {server} state maint", f"shutdown sessions server {server}"]
        for target, state in wanted.items():
            if target not in servers:
                slot = self._free[backend].pop()
                servers[target] = (slot, "maint")
                address = NODE_ADDRESSES.get(target[0], target[0])
                commands.append(f"set server {backend}/s{slot} addr {address} port {target[1]}")
            slot, before = servers[target]
            if state != before:
                servers[target] = (slot, state)
                commands.append(f"set server {backend}/s{slot} state {state}")
        return commands

    def _follow_rules(self, rules: Iterable[tuple[str | None, Mapping[str, int]]]) -> list[str]:
        commands = []
        for host, weights in rules:
            for share, arn in enumerate(shares(weights)):
                key, backend = f"{host}/{share}", self._groups[arn] if arn else "nothing"
                if self._rules.get(key) != backend:
                    verb = "set" if key in self._rules else "add"
                    commands.append(f"{verb} map {self._map} {key} {backend}")
                    self._rules[key] = backend
        return commands

    def _tell(self, command: str) -> str:
        """Send commands to HAProxy's runtime API and return its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._socket))
            connection.sendall(command.encode() + b"\n")
            parts = iter(lambda: connection.recv(65536), b"")
            return b"".join(parts).decode()

    def counts(self) -> Counts:
        """Read HAProxy's counters."""
        rows = csv.DictReader(self._tell("show stat").removeprefix("# ").splitlines())
        requests: Counter[str] = Counter()
        target_5xx: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        all_5xx = 0
        for row in rows:
            if row["pxname"] in BACKENDS and row["svname"] not in ("FRONTEND", "BACKEND"):
                requests[row["pxname"]] += int(row["stot"] or 0)
                target_5xx[row["pxname"]] += int(row["hrsp_5xx"] or 0)
                errors[row["pxname"]] += int(row["econ"] or 0)
            elif row["svname"] == "FRONTEND":
                all_5xx += int(row["hrsp_5xx"] or 0)
        return Counts(requests, target_5xx, errors, all_5xx - target_5xx.total())

    def _close_minute(self) -> None:
        """Count the minute that ended, as CloudWatch has it: no point for a count of 0."""
        now, before = self.counts(), self._counted
        self._counted = now
        data: list[tuple[str, str | None, int]]
        data = [("HTTPCode_ELB_5XX_Count", None, now.own_5xx - before.own_5xx)]
        for arn, backend in self._groups.items():
            for metric, counter, earlier in (
                ("RequestCount", now.requests, before.requests),
                ("HTTPCode_Target_5XX_Count", now.target_5xx, before.target_5xx),
                ("TargetConnectionErrorCount", now.connection_errors, before.connection_errors),
            ):
                data.append((metric, arn, counter[backend] - earlier[backend]))
                data.append((metric, None, counter[backend] - earlier[backend]))
        self._publication.add(
            [Datum(self._arn, arn, metric, self._minute, count) for metric, arn, count in data if count]
        )


def serving(states: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """Return the state of each server in HAProxy: `ready` gets requests, `drain` keeps what it has, `maint` nothing."""
    living = [state for state in states.values() if state != "draining"]
    fails_open = bool(living) and all(state == "unhealthy" for state in living)
    by_state = {"healthy": "ready", "draining": "drain", "unhealthy": "ready" if fails_open else "drain"}
    return {target: by_state.get(state, "maint") for target, state in states.items()}


def shares(weights: Mapping[str, int]) -> list[str]:
    """Return the group of each of a hundred equal shares of the requests; empty names if every weight is 0."""
    total, reached, found = sum(weights.values()), 0, [""] * SHARES
    for arn, weight in weights.items():
        begin, reached = reached, reached + weight
        for share in range(round(begin * SHARES / total), round(reached * SHARES / total)) if total else ():
            found[share] = arn
    return found


def _this_minute() -> datetime:
    now = datetime.now(UTC)
    return now - timedelta(seconds=now.second, microseconds=now.microsecond)
