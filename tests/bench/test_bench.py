"""The benchmark measures like against like: the same verdicts from the same bytes, of objects as heavy as real ones."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from tests import ROOT
from tests.bench.__main__ import PARTS, main
from tests.bench.child import Child
from tests.bench.subjects import PORT, Subject, manifests
from tests.bench.world import BenchWorld, Latencies

SUBJECTS = (Subject(number=0, pods=12), Subject(number=1, pods=5, initial=2))
EXPECTED = [
    {"phase": "Successful", "healthy_count": 12, "wanted_count": 12},
    {"phase": "Inconclusive", "healthy_count": 3, "wanted_count": 5},
]
AT_ONCE = Latencies(kubernetes=0, aws=0)


def opinions(way, environment):
    """What a way says about each subject."""
    with Child(way, environment) as child:
        return [child.ask(subject)["opinion"] for subject in SUBJECTS]


@pytest.mark.long
def test_both_ways_agree_on_the_prepared_bytes():
    """Ours and the straightforward way give the same verdict and the same counts from the benchmark's stand-ins."""
    with BenchWorld(SUBJECTS, AT_ONCE) as world:
        assert opinions("ours", world.environment) == EXPECTED
        assert opinions("straightforward", world.environment) == EXPECTED


@pytest.mark.long
def test_the_prepared_bytes_agree_with_the_demo(world, tmp_path):
    """The demo's cluster and AWS lead to the same verdicts for the same objects as the prepared bytes do."""
    for subject in SUBJECTS:
        arn = world.aws.target_group(subject.group_name)
        for manifest in manifests(subject, datetime.now(UTC) - timedelta(minutes=15), arn):
            world.kubernetes.put(manifest)
        for address, state in subject.states:
            reason = None if state == "healthy" else "Elb.InitialHealthChecking"
            world.aws.load_balancers.pin(arn, address, PORT, state, reason)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | world.environment(tmp_path)

    assert opinions("ours", environment) == EXPECTED
    assert opinions("straightforward", environment) == EXPECTED


def test_objects_weigh_what_real_ones_do():
    """A pod has about 10 KB, its managedFields 2 to 3 KB, and a slice holds 100 endpoints."""
    made = manifests(Subject(number=0, pods=100), datetime.now(UTC))

    (pod, *_) = [one for one in made if one["kind"] == "Pod"]
    full = [one for one in made if one["kind"] == "EndpointSlice"]

    assert 9_500 < size(pod) < 11_500
    assert 2_000 < size(pod["metadata"]["managedFields"]) < 3_200
    assert [len(one["endpoints"]) for one in full] == [100, 100]


def size(value):
    """Bytes of JSON as the API server writes it."""
    return len(json.dumps(value, separators=(",", ":")))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_whole_benchmark_runs(tmp_path):
    """`python -m tests.bench --quick` runs every part and leaves a table and the figures of each."""
    done = CliRunner().invoke(main, ["--quick", "--results", str(tmp_path / "results")], catch_exceptions=False)

    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results" / "bench.json").read_text())
    written = (tmp_path / "results" / "bench.md").read_text()
    assert set(found) == {"about", *PARTS}
    assert [written.count(f"({letter}) ") for letter in "fg"] == [1] * 2
