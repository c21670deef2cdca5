"""What `make run` installs."""

from importlib.metadata import requires

from packaging.requirements import Requirement

from tests.world import locked


def needs(package):
    """The names of the packages that this one needs on this machine."""
    needed = [Requirement(line) for line in requires(package) or ()]
    return {one.name.lower().replace("_", "-") for one in needed if one.marker is None or one.marker.evaluate()}


def test_the_tests_run_with_the_packages_of_the_image():
    """The development lock has every package of the run-time lock, in the same version and with the same hashes."""
    at_run_time, development = (
        {entry.partition("    # via")[0] for _, entry in locked.packages(lock)}
        for lock in ("requirements.lock", "requirements-dev.lock")
    )

    assert at_run_time - development == set()


def test_make_run_installs_all_that_the_world_needs():
    """With the world's part of the development lock no requirement is open, and the part has no development tool."""
    at_run_time, world = {name for name, _ in locked.packages("requirements.lock")}, dict(locked.world())

    assert world.keys() & at_run_time == set()
    assert {name: missing for name in world if (missing := needs(name) - world.keys() - at_run_time)} == {}
    assert {"moto", "flask-cors", "hatchling"} <= world.keys()
    assert world.keys() & {"pytest", "mypy", "playwright"} == set()
