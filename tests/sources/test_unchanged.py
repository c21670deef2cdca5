"""What was made before is used again for the same bytes or the very same records, and for nothing else."""

import threading
from functools import partial
from typing import Any

import pytest

from provider.sources.aws.target_health_xml import TARGETS, Parser
from provider.sources.unchanged import Unchanged


class Maker:
    """Makes a list, and counts how often."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return [self.count]


def test_the_same_bytes_are_made_once():
    """Other bytes, and another kind of the same bytes, are made by themselves."""
    unchanged, make = Unchanged(), Maker()

    first = unchanged.of_bytes(b"a", "x", make, len)

    assert unchanged.of_bytes(bytes(bytearray(b"a")), "x", make, len) is first
    assert unchanged.of_bytes(b"a", "y", make, len) is not first
    assert unchanged.of_bytes(b"b", "x", make, len) is not first
    assert make.count == 3


def test_only_the_very_same_records_count():
    """Equal records are not the same ones: whether they are equal would have to be compared one by one."""
    unchanged, make = Unchanged(), Maker()
    some, equal = [1, 2], [1, 2]

    first = unchanged.of_records((some,), "x", make)

    assert unchanged.of_records((some,), "x", make) is first
    assert unchanged.of_records((equal,), "x", make) is not first
    assert unchanged.of_records((some,), "y", make) is not first


def test_records_of_a_dead_list_are_never_found():
    """What was made of a list that nobody else has any more is not given to a new list at the same address."""
    unchanged = Unchanged()
    for number in range(200):
        assert unchanged.of_records(([number],), "x", partial(int, number)) == number


def test_what_fails_is_not_remembered():
    """An error is raised each time, and does not stand in for what would be made later."""
    unchanged = Unchanged()

    def fail():
        raise ValueError("malformed")

    for _ in range(2):
        with pytest.raises(ValueError, match="malformed"):
            unchanged.of_bytes(b"a", "x", fail, len)
    assert unchanged.of_bytes(b"a", "x", lambda: [1], len) == [1]


def test_it_is_bounded():
    """Of more records than it may keep, what was used longest ago is made again."""
    unchanged, make = Unchanged(most_records=3), Maker()
    for content in (b"a", b"b", b"c", b"a", b"d"):
        unchanged.of_bytes(content, "x", make, len)

    assert make.count == 4
    unchanged.of_bytes(b"a", "x", make, len)
    assert make.count == 4
    unchanged.of_bytes(b"b", "x", make, len)
    assert make.count == 5


def test_many_threads_get_what_was_made_of_their_own_bytes():
    """Threads that ask at the same time get the records of their own content."""
    unchanged = Unchanged(most_records=20)
    wrong = []

    def work(seed):
        for number in range(300):
            content = (number * seed) % 31
            found: list[int] = unchanged.of_bytes(bytes([content]), "x", partial(list, (content,)), len)
            wrong.extend([found] if found != [content] else [])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 9)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert wrong == []


def answer(state="healthy", request="1", end="</DescribeTargetHealthResponse>"):
    """DescribeTargetHealth's XML of one target."""
    target = f"<Target><Id>10.0.0.1</Id><Port>80</Port></Target><TargetHealth><State>{state}</State></TargetHealth>"
    result = (
        f"<DescribeTargetHealthResult><TargetHealthDescriptions><member>{target}</member></TargetHealthDescriptions>"
    )
    meta = f"<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata>"
    return f"<DescribeTargetHealthResponse>{result}</DescribeTargetHealthResult>{meta}{end}".encode()


def parsed(parser, body):
    found: dict[str, Any] = {}
    parser.before_parse({"status_code": 200, "body": body}, found)
    return found[TARGETS]


def test_an_answer_that_differs_in_its_request_only_is_parsed_once():
    """The id of a request says nothing of a target; a state, or an answer that is cut off, does."""
    parser = Parser()
    first = parsed(parser, answer())

    assert parsed(parser, answer(request="2")) is first
    assert parsed(parser, answer("unhealthy"))[0].state == "unhealthy"
    with pytest.raises(ValueError, match="not XML"):
        parsed(parser, answer(end=""))


def test_what_nobody_uses_is_dropped():
    """What was not used for half a minute goes with the next thing that is made, and what was used stays."""
    now = [0.0]
    unchanged, make = Unchanged(seconds=lambda: now[0]), Maker()
    for at, content in ((0.0, b"idle"), (0.0, b"used"), (20.0, b"used"), (31.0, b"other")):
        now[0] = at
        unchanged.of_bytes(content, "x", make, len)

    assert make.count == 3
    unchanged.of_bytes(b"used", "x", make, len)
    assert make.count == 3
    unchanged.of_bytes(b"idle", "x", make, len)
    assert make.count == 4
