"""Kubernetes, ELBv2 and CloudWatch x everything that keeps a client from reaching them at all."""

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from provider.model.reasons import Reason
from tests.faults.calls import AWS_CALLS, KUBERNETES_CALLS
from tests.faults.conftest import assert_law, chosen_of, started
from tests.faults.endpoint import Endpoint, Resolver
from tests.faults.matrix import Combination, Fault, Lane, LeadsTo, Run, spread
from tests.world.world import World

pytestmark = [
    pytest.mark.timeout(900),
    # A server whose client breaks off the handshake leaves its socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_CALLS = {call.name: call for call in (*KUBERNETES_CALLS, *AWS_CALLS)}
UPSTREAMS = {
    "Kubernetes": _CALLS["get Rollout"],
    "ELBv2": replace(_CALLS["DescribeTargetHealth"], says="elasticloadbalancing:Describe"),
    "CloudWatch": _CALLS["GetMetricData"],
}
ENDPOINT_VARIABLES = {
    "ELBv2": "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "CloudWatch": "AWS_ENDPOINT_URL_CLOUDWATCH",
}

WAYS: dict[str, Callable[[Endpoint], Endpoint]] = {
    "refuses connections": Endpoint.refuse,
    "resets connections": lambda one: one.speechless(resets=True),
    "accepts connections and is silent": lambda one: one.speechless(resets=False),
    "name is unknown": lambda one: one.unknown_name(socket.EAI_NONAME),
    "name server is out of order": lambda one: one.unknown_name(socket.EAI_AGAIN),
    "name server is silent": Endpoint.silent_name,
    "speaks no TLS": lambda one: one.otherwise(None),
    "certificate of an unknown authority": lambda one: one.otherwise(one.authority.unknown()),
    "certificate expired": lambda one: one.otherwise(one.authority.expired()),
    "certificate of another host": lambda one: one.otherwise(one.authority.of_another_host()),
}


def _leads_to(upstream: str, way: str) -> LeadsTo:
    kubernetes = upstream == "Kubernetes"
    timeout = Reason.KUBERNETES_TIMEOUT if kubernetes else Reason.AWS_TIMEOUT
    match way:
        case "accepts connections and is silent":
            return timeout
        case "name server is silent":  # no timeout of a connection covers the look-up
            return timeout, Reason.DEADLINE_EXCEEDED
        case _:
            return Reason.KUBERNETES_UNAVAILABLE if kubernetes else Reason.AWS_UNAVAILABLE


def combinations() -> list[Combination]:
    """Every upstream with every way not to be reached."""
    found = []
    for upstream, call in UPSTREAMS.items():
        for way in WAYS:
            leads_to = _leads_to(upstream, way)
            fault = Fault(f"{upstream} {way}", _unbound, leads_to, lasts=isinstance(leads_to, tuple))
            found.append(Combination(call, fault, leads_to, "cold"))
    return found


def _unbound(*_: object) -> Endpoint:
    raise AssertionError("made for the lane, which knows its endpoint")


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, matrix_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Providers that reach one upstream each by HTTPS and a name."""
    directory = tmp_path_factory.mktemp("endpoints")
    resolver = Resolver()
    chosen = chosen_of(request)
    lanes = []
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(socket, "getaddrinfo", resolver)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost,.test")
        for upstream, call in UPSTREAMS.items():
            some = [combination for combination in chosen if combination.fault.name.startswith(upstream)]
            if not some:
                continue
            name = upstream.lower()
            faults = matrix_world.kubernetes_faults if upstream == "Kubernetes" else matrix_world.aws.faults
            endpoint = Endpoint(faults, f"{name}.test", directory / name, resolver)
            stack.callback(endpoint.stop)
            call.build(matrix_world, name)
            built = replace(call, build=lambda *_: None)
            with pytest.MonkeyPatch.context() as one:
                for variable, value in _lead_to(endpoint, upstream, matrix_world, directory / name).items():
                    one.setenv(variable, value)
                lane = Lane(name, built, faults, stack.enter_context(started()))
                lane.warm_up()
            lanes.append((lane, [_bound(combination, endpoint, upstream) for combination in some]))
        yield Run(matrix_world, lanes)
    gc.collect()  # what the handshakes left behind, before it is taken for another module's


def _lead_to(endpoint: Endpoint, upstream: str, world: World, directory: Path) -> dict[str, str]:
    """The variables that lead one upstream's client to the endpoint, and the others as before."""
    authority = str(endpoint.authority.file)
    if upstream != "Kubernetes":
        return {ENDPOINT_VARIABLES[upstream]: endpoint.url, "AWS_CA_BUNDLE": authority}
    variables = world.environment(directory)
    path = Path(variables["KUBECONFIG"])
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["clusters"][0]["cluster"] = {"server": endpoint.url, "certificate-authority": authority}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return {"KUBECONFIG": str(path)}


def _bound(combination: Combination, endpoint: Endpoint, upstream: str) -> Combination:
    way = WAYS[combination.fault.name.removeprefix(f"{upstream} ")]
    return replace(combination, fault=replace(combination.fault, begin=lambda *_: way(endpoint)))


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", spread(combinations()))
def test_an_upstream_that_cannot_be_reached_blocks_in_time_and_recovers(run: Run, combination: Combination) -> None:
    """Names, connections and certificates that are wrong are named in time; once they are right the answer is too."""
    assert_law(combination, run.outcome(combination))
