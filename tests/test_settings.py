"""The settings: their defaults and bounds, and what an operator reads who has mistyped one."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from provider import settings
from provider.settings import BadSettings, Settings
from tests.server import PATIENCE

DEFAULTS = {
    "host": "0.0.0.0",
    "port": 8080,
    "threads": 64,
    "read_threads": 32,
    "budget_seconds": 8,
    "topology_fresh_seconds": 2,
    "pods_fresh_seconds": 300,
    "target_health_fresh_seconds": 2,
    "target_groups_fresh_seconds": 300,
    "metrics_fresh_seconds": 60,
    "failures_fresh_seconds": 1,
    "elbv2_calls_per_second": 5,
    "connect_timeout_seconds": 1,
    "read_timeout_seconds": 3,
    "graceful_timeout_seconds": 20,
    "tokens_file": None,
    "floors_file": None,
    "switch_watch_seconds": 30,
    "events": "disabled",
    "handover": "disabled",
    "handover_undo_seconds": 60,
    "handover_without_tokens": False,
    "log_level": "INFO",
    "connections": 256,
    "client_timeout_seconds": 5,
    "tls_cert_file": None,
    "tls_key_file": None,
    "assume_role_arns": "",
}
ROOMY = {"PROVIDER_CONNECTIONS": "1024"}
PATIENT = {"PROVIDER_GRACEFUL_TIMEOUT_SECONDS": "300"}
HASTY = {"PROVIDER_BUDGET_SECONDS": "1"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("PROVIDER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(monkeypatch):
    """Load the settings from these variables only."""

    def load(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return settings.load()

    return load


def test_defaults(load):
    """Without any variable the settings are the documented defaults, and each has a description."""
    chosen = load({})

    assert chosen.model_dump() == DEFAULTS
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_are_frozen(load):
    """Settings are immutable."""
    chosen = load({})

    with pytest.raises(ValidationError, match="frozen"):
        chosen.port = 1


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "too_low", "too_high", "beside"),
    [
        ("PORT", "1", "65535", "0", "65536", {}),
        ("THREADS", "1", "256", "0", "257", ROOMY),
        ("READ_THREADS", "4", "512", "3", "513", {}),
        ("BUDGET_SECONDS", "1", "60", "0.99", "60.01", PATIENT),
        ("TOPOLOGY_FRESH_SECONDS", "0", "60", "-0.01", "60.01", {}),
        ("TARGET_HEALTH_FRESH_SECONDS", "0", "60", "-0.01", "60.01", {}),
        ("TARGET_GROUPS_FRESH_SECONDS", "0", "3600", "-0.01", "3600.01", {}),
        ("METRICS_FRESH_SECONDS", "0", "300", "-0.01", "300.01", {}),
        ("FAILURES_FRESH_SECONDS", "0", "60", "-0.01", "60.01", {}),
        ("ELBV2_CALLS_PER_SECOND", "0.001", "1000", "0", "1000.01", {}),
        ("CONNECT_TIMEOUT_SECONDS", "0.001", "30", "0", "30.01", {}),
        ("READ_TIMEOUT_SECONDS", "0.001", "30", "0", "30.01", {}),
        ("GRACEFUL_TIMEOUT_SECONDS", "1", "300", "0", "301", HASTY),
        ("CONNECTIONS", "33", "1024", "32", "1025", {"PROVIDER_THREADS": "1"}),
        ("CLIENT_TIMEOUT_SECONDS", "0.1", "60", "0.09", "60.01", {}),
    ],
)
def test_bounds(load, name, lowest, highest, too_low, too_high, beside):
    """A number is accepted at its bounds, and refused just outside them with the setting's name."""
    variable = f"PROVIDER_{name}"

    taken = [getattr(load(beside | {variable: value}), name.lower()) for value in (lowest, highest)]

    assert taken == [float(lowest), float(highest)]
    for value in (too_low, too_high):
        with pytest.raises(BadSettings, match=f"^{variable}: "):
            load(beside | {variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROVIDER_PORT", "http"),
        ("PROVIDER_PORT", "tcp://10.0.0.1:8080"),
        ("PROVIDER_PORT", "80.5"),
        ("PROVIDER_PORT", ""),
        ("PROVIDER_HOST", ""),
        ("PROVIDER_THREADS", "many"),
        ("PROVIDER_BUDGET_SECONDS", "8s"),
        ("PROVIDER_BUDGET_SECONDS", "nan"),
        ("PROVIDER_READ_TIMEOUT_SECONDS", "nan"),
        ("PROVIDER_READ_TIMEOUT_SECONDS", "inf"),
        ("PROVIDER_GRACEFUL_TIMEOUT_SECONDS", "20.5"),
        ("PROVIDER_LOG_LEVEL", "TRACE"),
        ("PROVIDER_LOG_LEVEL", ""),
    ],
)
def test_a_malformed_value_is_refused_by_name(load, variable, value):
    """A malformed or empty value is refused with the setting's name; it never means the default."""
    with pytest.raises(BadSettings) as raised:
        load({variable: value})

    assert str(raised.value).startswith(f"{variable}: ")


def test_every_malformed_value_is_named_at_once(load):
    """Every malformed setting is named, so that all can be corrected at once."""
    with pytest.raises(BadSettings) as raised:
        load({"PROVIDER_PORT": "http", "PROVIDER_THREADS": "0", "PROVIDER_HOST": "127.0.0.1"})

    assert [part.partition(":")[0] for part in str(raised.value).split("; ")] == ["PROVIDER_PORT", "PROVIDER_THREADS"]


@pytest.mark.parametrize("variable", ["PROVIDER_PROT", "PROVIDER_", "PROVIDER_PORT_", "provider_prot"])
def test_an_unknown_variable_is_refused_by_name(load, variable):
    """An unknown PROVIDER_ variable is refused by name, and the known ones are listed."""
    with pytest.raises(BadSettings) as raised:
        load({variable: "8080"})

    unknown, _, known = str(raised.value).partition(". Known settings: ")
    assert unknown == f"Unknown settings: {variable}"
    assert set(known.split(", ")) == {f"PROVIDER_{name.upper()}" for name in DEFAULTS}


def test_a_service_named_provider_is_explained(load):
    """The variables that Kubernetes sets for a Service named `provider` are refused with the remedy."""
    with pytest.raises(BadSettings, match="enableServiceLinks: false"):
        load({"PROVIDER_SERVICE_HOST": "10.0.0.1", "PROVIDER_PORT": "tcp://10.0.0.1:8080"})


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        ({"BUDGET_SECONDS": "20"}, None),
        ({"GRACEFUL_TIMEOUT_SECONDS": "8"}, None),
        ({"GRACEFUL_TIMEOUT_SECONDS": "7"}, "PROVIDER_GRACEFUL_TIMEOUT_SECONDS (7) must be at least"),
        (
            {"BUDGET_SECONDS": "21"},
            "PROVIDER_GRACEFUL_TIMEOUT_SECONDS (20) must be at least PROVIDER_BUDGET_SECONDS (21)",
        ),
    ],
)
def test_budget_and_graceful_stop_fit_together(load, variables, refused):
    """The graceful stop must last as long as the time limit of a query."""
    prefixed = {f"PROVIDER_{name}": value for name, value in variables.items()}
    if refused is None:
        assert load(prefixed).model_dump() == DEFAULTS | {name.lower(): float(one) for name, one in variables.items()}
        return

    with pytest.raises(BadSettings) as raised:
        load(prefixed)

    assert str(raised.value).startswith(refused)


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        ("", set()),
        ("  ", set()),
        ("arn:aws:iam::123456789012:role/one", {"arn:aws:iam::123456789012:role/one"}),
        (
            "arn:aws:iam::123456789012:role/a/path/one, arn:aws-cn:iam::210987654321:role/t+w=o.@-_",
            {"arn:aws:iam::123456789012:role/a/path/one", "arn:aws-cn:iam::210987654321:role/t+w=o.@-_"},
        ),
    ],
)
def test_roles_are_listed_with_commas(load, value, roles):
    """The roles that may be assumed are ARNs separated by commas, in any partition; by default none."""
    assert load({"PROVIDER_ASSUME_ROLE_ARNS": value}).assumed_roles == roles


@pytest.mark.parametrize(
    "wrong",
    [
        "targets",
        "arn:aws:iam::123456789012:user/one",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::12345678901:role/one",
        "arn:aws:iam::*:role/one",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:sts::123456789012:assumed-role/one/x",
        "arn:aws:iam::123456789012:role/one two",
        "",
    ],
)
def test_what_is_no_role_is_refused_by_name(load, wrong):
    """An entry that is not the ARN of one role, such as a pattern or an empty one, is refused by name."""
    good = "arn:aws:iam::123456789012:role/one"
    with pytest.raises(BadSettings) as raised:
        load({"PROVIDER_ASSUME_ROLE_ARNS": f"{good},{wrong}"})

    assert str(raised.value).startswith(
        f"PROVIDER_ASSUME_ROLE_ARNS: not the ARN of a role: {wrong or '(empty)'} (an example: "
    )


@pytest.mark.parametrize(
    ("region", "found"), [("eu-central-1", "eu-central-1"), ("", None), (None, None)], ids=["set", "empty", "unset"]
)
def test_aws_region(monkeypatch, region, found):
    """AWS_REGION is the region, as in every other AWS SDK; without it boto3 decides."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    if region is not None:
        monkeypatch.setenv("AWS_REGION", region)

    assert settings.aws_region() == found


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TLS_CERT_FILE": "a"}, "PROVIDER_TLS_KEY_FILE is missing: TLS needs"),
        ({"TLS_KEY_FILE": "a"}, "PROVIDER_TLS_CERT_FILE is missing: TLS needs"),
        ({"TLS_CERT_FILE": "a", "TLS_KEY_FILE": ""}, "PROVIDER_TLS_KEY_FILE: String should have at least 1 character"),
        (
            {"CONNECTIONS": "95"},
            r"PROVIDER_CONNECTIONS \(95\) must be at least PROVIDER_THREADS \(64\) \+ 32, so that probes",
        ),
        (
            {"THREADS": "225"},
            r"PROVIDER_CONNECTIONS \(256\) must be at least PROVIDER_THREADS \(225\) \+ 32, so that probes",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(load, variables, sentence):
    """A certificate without its key, and queries that could take every connection, are refused."""
    with pytest.raises(BadSettings, match=f"^{sentence}"):
        load({f"PROVIDER_{name}": value for name, value in variables.items()})


def test_settings_that_just_go_together(load):
    """The smallest accepted number of connections leaves the whole reserve."""
    assert load({"PROVIDER_CONNECTIONS": "96"}).connections == 96
    assert load({"PROVIDER_CONNECTIONS": "96", "PROVIDER_TLS_CERT_FILE": "a", "PROVIDER_TLS_KEY_FILE": "b"})


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PROVIDER_PORT", "http", "Error: PROVIDER_PORT: Input should be a valid integer"),
        ("PROVIDER_PROT", "8080", "Error: Unknown settings: PROVIDER_PROT. Known settings: "),
    ],
    ids=["malformed", "unknown"],
)
def test_serve_with_a_bad_setting_says_so(variable, value, sentence):
    """`alb-provider serve` with a bad setting prints one sentence that names it, and exits with 3."""
    done = subprocess.run(
        [sys.executable, "-m", "provider.cli.main", "serve"],
        env=os.environ | {variable: value},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
