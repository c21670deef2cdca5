"""Our clock, which nobody sets, and what answers prove of the clocks of others."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.clocks import Skew
from provider.sources.clock import OtherClocks, SteadyClock
from provider.telemetry import Metrics

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Machine:
    """A machine: the time that it shows may be set, the seconds since it was started may not."""

    def __init__(self):
        self.seconds, self.wrong_by = 1000.0, 0.0

    def time(self):
        return NOON + timedelta(seconds=self.seconds + self.wrong_by)


@pytest.mark.parametrize("step", [-3600, -60, -10, 10, 60])
def test_our_clock_goes_on_when_the_machines_is_set(step):
    """Whatever time the machine is set to, ours shows the time of the start and the seconds since."""
    machine = Machine()
    clock = SteadyClock(machine.time, lambda: machine.seconds)
    before = clock()

    machine.wrong_by = step
    machine.seconds += 2.5

    assert clock() - before == timedelta(seconds=2.5)
    assert before == NOON + timedelta(seconds=1000)


class Upstream:
    """Kubernetes with a clock that is `ahead` of ours, and a network that takes time."""

    def __init__(self, ahead=0.0):
        self.now, self.ahead, self.metrics = NOON, ahead, Metrics()
        self.clocks = OtherClocks(lambda: self.now, self.metrics)

    def answer(self, there=0.0, back=0.0, **headers):
        """Ask: the request takes `there` seconds, the answer `back`; `headers` replace its own."""
        told = self.clocks.observer("kubernetes")
        self.now += timedelta(seconds=there)
        written = format_datetime(self.now + timedelta(seconds=self.ahead), usegmt=True)
        self.now += timedelta(seconds=back)
        told({"date": written} | headers)
        return self.clocks.kubernetes()


delays = st.floats(0, 3, allow_nan=False)


@given(ahead=st.floats(-4000, 4000), pauses=st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=20))
def test_what_is_claimed_of_a_clock_is_true(ahead, pauses):
    """However slow the network is, the other clock is ahead by something between the bounds."""
    upstream, widths = Upstream(ahead), []
    for pause, there, back in pauses:
        upstream.now += timedelta(seconds=pause)
        skew = upstream.answer(there, back)

        assert skew == Skew("Kubernetes") or skew.least - 1e-3 <= ahead <= skew.most + 1e-3
        assert abs(skew.seconds) <= abs(ahead) + 1e-3
        widths.append(skew.most - skew.least)

    assert widths[-1] <= 1 + sum(pauses[-1][1:]) + 1e-3


def test_clocks_that_agree_are_not_said_to_differ():
    """A `Date` in whole seconds, a slow answer or a fraction of a second claims nothing."""
    upstream = Upstream(0.3)

    for _ in range(5):
        upstream.now += timedelta(seconds=0.7)
        assert abs(upstream.answer(0.2, 0.4).seconds) <= 0.3

    assert upstream.clocks.apart() == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"date": "yesterday"},
        {"date": ""},
        {"date": "Mon, 23 Nov 2026 12:00:00 -0000"},
        {"date": "Mon, 23 Nov 99999 12:00:00 GMT"},
        {"date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"date": "Sat, 01 Jan 2050 00:00:00 GMT"},
        {"date": "Mon, 23 Nov 2026 11:00:00 GMT", "age": "3600"},
        {"date": "Mon, 23 Nov 2026 12:00:00 GMT, Mon, 23 Nov 2026 12:00:00 GMT, nonsense \x00"},
    ],
)
def test_a_date_that_says_nothing_is_ignored(headers):
    """A Date that is malformed, of another age or from a cache changes nothing that is known."""
    upstream = Upstream(20)
    before = upstream.answer()

    assert upstream.answer(**headers).seconds == pytest.approx(before.seconds, abs=1.1)
    assert Upstream().answer(**headers).seconds == pytest.approx(0, abs=1.1)


@given(st.text(max_size=60), st.text(max_size=5) | st.none())
def test_no_header_is_an_error(date, age):
    """Whatever a proxy writes into Date and Age, an answer is an answer."""
    told = Upstream().clocks.observer("kubernetes")

    told({"date": date} | ({} if age is None else {"age": age}))
    told({})


def test_a_clock_that_is_set_is_believed_at_its_next_answer():
    """When another system's clock is set, what was known of it before does not count any more."""
    upstream = Upstream()
    upstream.answer()
    upstream.ahead = 50

    assert upstream.answer().seconds == pytest.approx(50, abs=1)

    upstream.ahead = 0
    assert upstream.answer().seconds == 0


def test_the_log_says_once_that_a_clock_is_apart(caplog):
    """A clock that is more than 5 s apart is one line in the log, and one more when it agrees again."""
    caplog.set_level(logging.INFO)
    upstream = Upstream(12)
    for _ in range(50):
        upstream.answer()
        upstream.now += timedelta(seconds=10)
    upstream.ahead = 0
    for _ in range(50):
        upstream.answer()
        upstream.now += timedelta(seconds=10)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "The clock of Kubernetes is 1" in caplog.messages[0]
    assert "s ahead of the provider's" in caplog.messages[0]
    assert caplog.messages[1] == "The clock of Kubernetes agrees with the provider's again"


def test_servers_with_clocks_of_their_own_do_not_fill_the_log(caplog):
    """Two API servers behind one address, one of them 20 s behind, are at most a line in a minute."""
    upstream = Upstream()
    for number in range(120):
        upstream.ahead = -20 * (number % 2)
        upstream.answer()
        upstream.now += timedelta(seconds=1)

    assert 1 <= len(caplog.records) <= 3


def test_each_region_has_a_clock_and_the_furthest_is_shown():
    """The metric and the answer show, of each upstream, the clock that is furthest from ours."""
    upstream = Upstream()
    for region, ahead in (("eu-west-1", 8), ("us-east-1", -40), ("eu-north-1", 0)):
        upstream.clocks.observer("cloudwatch", region)(
            {"date": format_datetime(upstream.now + timedelta(seconds=ahead), usegmt=True)}
        )
    shown = partial(upstream.metrics.registry.get_sample_value, "alb_provider_clock_skew_seconds")

    assert [upstream.clocks.cloudwatch(region).seconds for region in ("eu-west-1", "us-east-1", "mars")] == [8, -39, 0]
    assert upstream.clocks.apart() == {"cloudwatch": -39}
    assert [shown({"upstream": upstream}) for upstream in ("kubernetes", "elbv2", "cloudwatch")] == [0, 0, -39]


def test_the_load_balancers_clock_counts_until_cloudwatch_has_answered():
    """Before CloudWatch's first answer in a region, AWS's time there is that of the load balancers' answers."""
    upstream = Upstream()

    def told(service, ahead):
        date = format_datetime(upstream.now + timedelta(seconds=ahead), usegmt=True)
        upstream.clocks.observer(service, "eu-west-1")({"date": date})

    told("elbv2", 20)
    before = upstream.clocks.cloudwatch("eu-west-1").seconds
    told("cloudwatch", 0)

    assert (before, upstream.clocks.cloudwatch("eu-west-1").seconds) == (20, 0)


def test_memory_is_bounded():
    """Clocks of many regions, which others choose, do not add up."""
    upstream = Upstream()
    for number in range(1000):
        upstream.clocks.observer("elbv2", f"region-{number}")({"date": format_datetime(NOON, usegmt=True)})

    assert len(upstream.clocks._clocks) <= 100
