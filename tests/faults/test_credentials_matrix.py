"""IRSA's STS and Pod Identity's agent x every fault."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from provider.model.reasons import Reason
from tests.faults.calls import Call, healthy
from tests.faults.conftest import assert_law, chosen_of, started
from tests.faults.credentials_api import CredentialsApi, Expiry
from tests.faults.kinds import HTML, HTML_OF_A_BALANCER, TOKEN, aws_error, lasting, late, on_the_wire, saying
from tests.faults.matrix import As, Combination, Fault, Lane, Run, spread
from tests.world.server.deliveries import Wire
from tests.world.server.faults import Faults
from tests.world.server.http_server import HttpServer
from tests.world.world import World

pytestmark = pytest.mark.timeout(900)

LANES_COUNT = 5
_CREDENTIALS, _BROKEN = Reason.AWS_CREDENTIALS, Reason.AWS_MALFORMED

IRSA = Call(
    "IRSA",
    "AssumeRoleWithWebIdentity",
    "elasticloadbalancing:Describe",
    healthy,
    about="role/{lane}&",
)
POD_IDENTITY = Call("Pod Identity", "/v1/credentials/{lane}", "elasticloadbalancing:Describe", healthy)

OF_IRSA = (
    aws_error("AccessDenied", _CREDENTIALS, 403),
    aws_error("InvalidIdentityToken", _CREDENTIALS),
    aws_error("ExpiredTokenException", _CREDENTIALS),
    aws_error("RequestExpired", _CREDENTIALS),
    aws_error("RegionDisabledException", _CREDENTIALS, 403),
    late("slow first byte", 0.2, As.WITHOUT),
    on_the_wire("slow body", Wire.SLOW, As.WITHOUT, 0.03),
    on_the_wire("truncated", Wire.TRUNCATED, _BROKEN),
    saying("HTML with 200", HTML, _BROKEN, kind="text/html"),
    saying("403 of a proxy", HTML, _BROKEN, 403, "text/html"),
    saying("nothing", "", _BROKEN),
    saying("another root", "<a/>", _BROKEN, kind="text/xml"),
    saying(
        "no credentials",
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>",
        _BROKEN,
        kind="text/xml",
    ),
    on_the_wire("hangs up", Wire.DROPPED, Reason.AWS_UNAVAILABLE),
    aws_error("Throttling", Reason.AWS_THROTTLED),
    aws_error("ServiceUnavailable", Reason.AWS_UNAVAILABLE, 503),
    aws_error("IDPCommunicationError", _CREDENTIALS),
    lasting(late("hangs", 60, (Reason.AWS_TIMEOUT, Reason.DEADLINE_EXCEEDED))),
)

_OR_LATE = (_CREDENTIALS, Reason.DEADLINE_EXCEEDED)
"""The agent is asked three times with a pause of a second, by one call of AWS after the other (botocore)."""

_HALF = json.dumps({"AccessKeyId": "ASIA", "SecretAccessKey": TOKEN, "Token": TOKEN})

OF_POD_IDENTITY = (
    late("slow first byte", 0.2, As.WITHOUT),
    on_the_wire("slow body", Wire.SLOW, As.WITHOUT, 0.03),
    on_the_wire("hangs up", Wire.DROPPED, _OR_LATE),
    on_the_wire("truncated", Wire.TRUNCATED, _OR_LATE),
    saying("403", "no", _OR_LATE, 403, "text/plain"),
    saying("429 for a minute", "slow down", _OR_LATE, 429, "text/plain", headers={"Retry-After": "60"}),
    saying("500", HTML_OF_A_BALANCER, _OR_LATE, 500, "text/html"),
    saying("HTML with 200", HTML, _OR_LATE, kind="text/html"),
    saying("{}", "{}", (*_OR_LATE, _BROKEN)),
    saying("no expiration", _HALF, (*_OR_LATE, _BROKEN)),
    lasting(late("hangs", 60, _OR_LATE)),
)

EXPIRED = "token expired, then rotated"


def combinations() -> list[Combination]:
    """Every fault of both sources of credentials."""
    table = [(IRSA, fault) for fault in OF_IRSA] + [(POD_IDENTITY, fault) for fault in OF_POD_IDENTITY]
    expired = [(call, Fault(EXPIRED, _unbound, to)) for call, to in ((IRSA, _CREDENTIALS), (POD_IDENTITY, _OR_LATE))]
    return [Combination(call, fault, fault.leads_to, "cold") for call, fault in table + expired]


def _unbound(*_: object) -> Expiry:
    raise AssertionError("made by the lane, which knows its token's file")


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, matrix_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Providers without keys of their own, each with a role and a ServiceAccount's token, running."""
    api = CredentialsApi(TOKEN)
    faults = Faults(api)
    files = tmp_path_factory.mktemp("tokens")
    by_call = [
        [combination for combination in chosen_of(request) if combination.call is call] for call in (IRSA, POD_IDENTITY)
    ]
    with HttpServer(faults) as server, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(files / "none"))
        patch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        # Read at every call, so all lanes of Pod Identity share it.
        shared = files / "shared"
        shared.write_text(TOKEN, encoding="utf-8")
        patch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(shared))
        lanes = []
        for call, some in zip((IRSA, POD_IDENTITY), by_call, strict=True):
            for number in range(min(LANES_COUNT, len(some))):
                name = f"{call.name.replace(' ', '-').lower()}-{number}"
                file = shared if call is POD_IDENTITY else files / name
                file.write_text(TOKEN, encoding="utf-8")
                with patch.context() as one:
                    one.setenv("AWS_ROLE_ARN", f"arn:aws:iam::123456789012:role/{name}")
                    one.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
                    if call is POD_IDENTITY:
                        one.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
                        one.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/v1/credentials/{name}")
                    healthy(matrix_world, name)
                    built = replace(call, build=lambda *_: None)
                    lane = Lane(name, built, faults, stack.enter_context(started()))
                    lane.warm_up()
                lanes.append(
                    (lane, [_bound(combination, api, name, file) for combination in some[number::LANES_COUNT]])
                )
        yield Run(matrix_world, lanes)


def _bound(combination: Combination, api: CredentialsApi, lane: str, file: Path) -> Combination:
    """Let a token expire in its own lane."""
    if combination.fault.name != EXPIRED:
        return combination
    fault = Fault(EXPIRED, lambda *_: Expiry(api, lane, file), combination.leads_to)
    return Combination(combination.call, fault, combination.leads_to, combination.cache)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", spread(combinations()))
def test_credentials_that_cannot_be_had_block_and_recover(run: Run, combination: Combination) -> None:
    """Each fault of what gives credentials is named, and the next question after it has new ones."""
    assert_law(combination, run.outcome(combination))
