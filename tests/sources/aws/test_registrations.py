"""The only module that writes: what it sends, how much at once, and what it leaves behind in log and metrics."""

import ast
import logging
import re

import pytest

from provider.model.errors import CannotTell
from provider.model.records import Place, TargetGroup
from provider.sources.aws.registrations import BURST, DEREGISTER, REGISTER, TOGETHER, Registrations
from provider.sources.deadline import Deadline
from tests import ROOT


@pytest.fixture
def registrations(account, sources, metrics):
    return Registrations(account, sources.shared.threads, metrics)


@pytest.fixture
def deadline():
    return Deadline(10)


@pytest.fixture
def group(world):
    return TargetGroup(world.aws.target_group("web"), "web", "ip", (), 15, 2, Place("eu-west-1"))


def addresses(count):
    return {(f"10.0.{number // 250}.{number % 250 + 1}", 8080) for number in range(count)}


def test_targets_are_written_in_calls_of_200(world, registrations, group, deadline, caplog):
    """As many targets as the controller names go into one call, each call is a line of the log with its reason."""
    caplog.set_level(logging.WARNING)
    world.aws.faults.forget_calls()
    registrations.write(REGISTER, group, addresses(450), "a test", deadline)

    assert [call.name for call in world.aws.calls] == ["RegisterTargets"] * 3
    assert len(world.aws.health(group.arn)) == 450
    said = [one.getMessage() for one in caplog.records if one.name == "provider.sources.aws.registrations"]
    assert said[0] == f"RegisterTargets: {TOGETHER} targets of web: a test"


def test_what_is_written_twice_is_written_once(world, registrations, group, deadline):
    """A repeated registration changes nothing, and deregistering what is not registered is no error."""
    registrations.write(REGISTER, group, addresses(2), "a test", deadline)
    registrations.write(REGISTER, group, addresses(2), "a test", deadline)
    registrations.write(DEREGISTER, group, addresses(1), "a test", deadline)
    registrations.write(DEREGISTER, group, addresses(1), "a test", deadline)

    states = [health.state for health in world.aws.health(group.arn)]
    assert sorted(states) == ["draining", "initial"]


def test_writes_have_a_budget_of_their_own(registrations, group):
    """After its burst a write waits for its turn, and one that would wait beyond its deadline is AwsBudget."""
    hasty = Deadline(2)
    registrations.write(REGISTER, group, addresses(TOGETHER * int(BURST)), "a test", hasty)

    with pytest.raises(CannotTell, match="call budget"):
        registrations.write(REGISTER, group, addresses(TOGETHER * 2), "a test", hasty)


def test_no_other_module_can_write():
    """The names of AWS's write operations stand in one module of the provider, and in the list of a role's actions."""
    allowed = {"sources/aws/registrations.py", "sources/aws/roles.py"}
    naming = set()
    for path in (ROOT / "provider").rglob("*.py"):
        name = str(path.relative_to(ROOT / "provider"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
                text = node.value.partition(":")[2] or node.value
                if re.fullmatch(r"(Register|Deregister|Create|Delete|Modify|Set|Add|Remove)[A-Z]\w+", text):
                    naming.add(name)

    assert naming == allowed
