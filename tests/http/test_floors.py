"""Minimums per namespace that no query can go below, from a file that is read again when it changes."""

import pytest

from provider.http.floors import Floors, rules
from provider.model.errors import NotConfigured
from tests.app import create_app

FLOORS = """
# the platform team's
*       minHealthyPercent=100 checks=replicas,target-health maxErrorPercent=1 maxErrors=50 onNoData=inconclusive
other   minHealthyPercent=80   # the rest of * holds here too
warm    checks=target-health,warm anomalies=fail maxLatencyFactor=2 maxErrors=1000000000
shop    minHealthyPercent=90 minRequests=10 windowSeconds=120 lagSeconds=120 significance=0.01
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "floors"
    path.write_text(FLOORS)
    return path


@pytest.fixture
def limited(sources, metrics, file):
    """The application with a floors file."""
    return create_app(sources, metrics, floors=Floors(file)).test_client()


@pytest.mark.parametrize(
    ("question", "more", "refused"),
    [
        ("target-health", "", {}),
        ("target-health", "&minHealthyPercent=90", {}),
        (
            "target-health",
            "&minHealthyPercent=89.9",
            {"minHealthyPercent": "must be at least 90 in namespace shop (got 89.9): this provider's floor"},
        ),
        ("gate", "&checks=target-health,replicas&minRequests=10&maxErrors=50", {}),
        (
            "gate",
            "&checks=replicas&minRequests=10&maxErrors=50",
            {"checks": "must include replicas,target-health in namespace shop (got replicas): this provider's floor"},
        ),
        (
            "errors",
            "&maxErrors=51&maxErrorPercent=1.5&onNoData=pass&windowSeconds=60&lagSeconds=60&significance=0.001",
            {
                "maxErrors": "must be at most 50 in namespace shop (got 51): this provider's floor",
                "maxErrorPercent": "must be at most 1 in namespace shop (got 1.5): this provider's floor",
                "onNoData": "must be no looser than inconclusive in namespace shop (got pass): this provider's floor",
                "windowSeconds": "must be at least 120 in namespace shop (got 60): this provider's floor",
                "lagSeconds": "must be at least 120 in namespace shop (got 60): this provider's floor",
                "significance": "must be at least 0.01 in namespace shop (got 0.001): this provider's floor",
                "minRequests": "must be at least 10 in namespace shop (got 0): this provider's floor",
            },
        ),
        (
            "errors",
            "&minRequests=10",
            {"maxErrors": "must be at most 50 in namespace shop (got no limit): this provider's floor"},
        ),
        ("errors", "&minRequests=10&maxErrors=0&onNoData=fail", {}),
    ],
)
@pytest.mark.usefixtures("scene")
def test_a_query_below_a_floor_is_refused(limited, question, more, refused):
    """Each parameter below its floor is named with floor and namespace, a default below it too; others are answered."""
    answer = limited.get(f"/v1/{question}?namespace=shop&rollout=web{more}")

    assert answer.status_code == (400 if refused else 200), answer.text
    assert {error["parameter"]: error["detail"] for error in answer.json.get("errors", ())} == refused


@pytest.mark.parametrize(("namespace", "status"), [("other", 404), ("third", 400)])
def test_a_namespace_has_its_own_floors_and_those_of_all(limited, namespace, status):
    """A namespace's line replaces the floors of `*` that it names, and no others."""
    assert limited.get(f"/v1/target-health?namespace={namespace}&rollout=x&minHealthyPercent=80").status_code == status
    assert limited.get(f"/v1/gate?namespace={namespace}&rollout=x&checks=replicas&maxErrors=1").status_code == 400


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ("", {"checks", "anomalies", "maxErrors"}),
        ("&checks=replicas,target-health,warm&anomalies=fail&maxErrors=9", set()),
        (
            "&checks=warm,target-health&anomalies=report&maxErrors=9&maxLatencyFactor=2.5",
            {"anomalies", "maxLatencyFactor"},
        ),
    ],
)
def test_a_floor_can_ask_for_what_is_not_the_default(limited, more, refused):
    """A check that a gate makes only if it is named, and a judgement that is made on request, can be required."""
    answer = limited.get(f"/v1/gate?namespace=warm&rollout=x{more}")

    assert answer.status_code == (400 if refused else 404)
    assert {error["parameter"] for error in answer.json.get("errors", ())} == refused


def test_a_body_is_held_to_the_floors(limited):
    """A POST is refused as a GET is."""
    asked = {"namespace": "shop", "rollout": "web", "minHealthyPercent": 1}

    assert limited.post("/v1/target-health", json=asked).status_code == 400


def test_the_file_is_read_again(limited, file):
    """New floors count at once, also looser ones, and without a line there is none."""
    url = "/v1/target-health?namespace=third&rollout=x&minHealthyPercent=70"

    assert limited.get(url).status_code == 400
    file.write_text("* minHealthyPercent=70\n")
    assert limited.get(url).status_code == 404
    assert limited.get(url.replace("70", "69")).status_code == 400
    file.write_text("# no floors\n")
    assert limited.get(url.replace("70", "1")).status_code == 404


@pytest.mark.parametrize(
    "fault",
    [
        "shop minHealthyPercent=most",
        "shop minHealthyPercnet=90",
        "shop",
        "shop minHealthyPercent",
        "other minRequests=5\nother minRequests=6",
        None,
    ],
    ids=["no number", "no such floor", "no floor", "no value", "repeated", "gone"],
)
@pytest.mark.usefixtures("scene")
def test_no_floor_vanishes_by_a_fault(limited, file, caplog, fault):
    """While the file has a fault, its good lines hold, and so do all floors that were read before."""
    url = "/v1/target-health?rollout=web&namespace="
    file.write_text(f"third minHealthyPercent=95\n* minHealthyPercent=1\n{fault}\n") if fault else file.unlink()

    statuses = {
        (namespace, percent): limited.get(f"{url}{namespace}&minHealthyPercent={percent}").status_code
        for namespace, percent in (
            ("shop", 89),
            ("shop", 90),
            ("other", 79),
            ("other", 80),
            ("third", 99),
            ("third", 94),
        )
    }

    assert statuses == {
        ("shop", 89): 400,
        ("shop", 90): 200,
        ("other", 79): 400,
        ("other", 80): 404,
        ("third", 99): 400,  # 100 was the floor of `*`
        ("third", 94): 400,
    }
    [logged] = [record.getMessage() for record in caplog.records if record.name == "provider.http.reread"]
    assert logged.startswith("The file of PROVIDER_FLOORS_FILE cannot be read in full: ")
    file.write_text("* minHealthyPercent=1\n")
    assert limited.get(f"{url}shop&minHealthyPercent=1").status_code == 200


@pytest.mark.usefixtures("scene")
def test_a_stricter_floor_counts_beside_a_fault(limited, file):
    """A floor in a good line counts although another line has a fault, and the answer names it."""
    file.write_text("shop minHealthyPercent=97\nother nonsense\n")

    answer = limited.get("/v1/target-health?namespace=shop&rollout=web&minHealthyPercent=89")

    assert limited.get("/v1/target-health?namespace=shop&rollout=web&minHealthyPercent=96").status_code == 400
    assert "must be at least 97 in namespace shop" in answer.json["detail"]


NO_FLOOR = f"cannot have a floor. These parameters can: {', '.join(rules())}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shop", "line 1 must be a namespace, or *, followed by name=value"),
        ("minHealthyPercent=90", "line 1 must be a namespace, or *, followed by name=value"),
        ("\n* timeout=3", f"line 2: timeout {NO_FLOOR}"),
        ("* minHealthyPercent", f"line 1: minHealthyPercent {NO_FLOOR}"),
        ("* minHealthyPercent=all", "line 1: the floor of minHealthyPercent is not a number"),
        ("* minHealthyPercent=nan", "line 1: the floor of minHealthyPercent is not a number"),
        ("* onNoData=maybe", "line 1: the floor of onNoData is not one of pass, inconclusive, fail"),
        ("* checks=replicas,health", "line 1: the floor of checks names health, which is not a check"),
        ("a minRequests=1\na minRequests=2", "line 2 repeats a: join its floors in one line"),
    ],
)
def test_a_malformed_file_stops_the_start(tmp_path, text, why):
    """Each mistake in the file is named with its line: a floor that is not understood must not mean none."""
    path = tmp_path / "floors"
    path.write_text(text)

    with pytest.raises(NotConfigured) as raised:
        Floors(path)

    assert str(raised.value) == f"PROVIDER_FLOORS_FILE cannot be used: {why}"
