"""What happens to production's targets from the moment in which Argo switches: the controller's calls, the weights.

Times are what the load balancer controller 3.5 was seen to need: it deregisters blue, then registers green, in calls of
at most 200 targets; a change of the listener rule takes effect about a second after Argo wrote it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from provider.advice.preflight.forecast import CALL_SECONDS, CALL_TARGETS
from provider.advice.simulation.load_balancer import Group, LoadBalancers
from provider.advice.simulation.pods import Pod, pods_of
from provider.advice.simulation.situation import Situation, Strategy

RULE_SECONDS = 1.0
"""From Argo's annotation to the load balancer's new weights."""

BATCHES = ((0.0, 0.05), (15.0, 0.25), (30.0, 0.5), (45.0, 1.0))
"""Weights of green by the second, with a gate between them."""

PORT = 8080

Event = tuple[float, Callable[[Any], None], Any]
"""The second, what happens, and with what."""


@dataclass(slots=True)
class Side:
    """A target group and the pods in it, by their target id."""

    group: Group
    pods: dict[str, Pod]
    weight: float = 0.0


class Production:
    """The target groups that users reach, as the clock moves on."""

    def __init__(self, situation: Situation) -> None:
        """Begin in the moment in which Argo switches, with blue healthy in production."""
        self._situation, self.now = situation, 0.0
        self.states = LoadBalancers(clock=lambda: self.now, passes=lambda id_, _port: self._passes(id_))
        chance = random.Random(situation.seed)  # noqa: S311 - a simulation, repeatable by its seed
        blue, green = pods_of(situation, green=False), pods_of(situation, green=True)
        self.blue = {f"b{situation.seed}-{number}": pod for number, pod in enumerate(blue)}
        names = [f"g{situation.seed}-{number}-{chance.random():.6f}" for number in range(len(green))]
        self.green = dict(zip(names, green, strict=True))
        self.pods = self.blue | self.green
        self.first = Side(self._group("first"), dict(self.blue), 1.0)
        self.second = Side(self._group("second"), {}, 0.0)
        self._plan = list(self._events())
        self._begin()

    def _passes(self, id_: str) -> bool:
        """Tell whether a target passes its check: a node does, whatever single pods behind it do."""
        return self._situation.strategy is Strategy.INSTANCE or not self.pods[id_].sick

    def advance(self, now: float) -> None:
        """Move the clock on, and do what is due."""
        self.now = now
        while self._plan and self._plan[0][0] <= now:
            _, what, names = self._plan.pop(0)
            what(names)

    def targets(self) -> list[tuple[float, list[Pod]]]:
        """Return each group that has a weight with the pods to which the load balancer sends its requests.

        Those that are healthy; all of them if every one is unhealthy (fail open); none while all are initial.
        """
        found = []
        for side in (self.first, self.second):
            if side.weight <= 0:
                continue
            states = [(id_, health.state) for id_, _, health in self.states.health(side.group)]
            healthy = [side.pods[id_] for id_, state in states if state == "healthy"]
            living = [(id_, state) for id_, state in states if state != "draining"]
            if not healthy and living and all(state == "unhealthy" for _, state in living):
                healthy = [side.pods[id_] for id_, _ in living]
            found.append((side.weight, healthy))
        return found

    def _group(self, name: str) -> Group:
        return Group(arn=f"{name}-{self._situation.seed}", interval_seconds=self._situation.interval_seconds)

    def _begin(self) -> None:
        self.states.register(self.first.group, [(id_, PORT) for id_ in self.blue])
        if self._situation.strategy in (Strategy.HANDOVER, Strategy.INSTANCE):
            self._add(self.first, list(self.green))
        if self._situation.strategy in (Strategy.CANARY, Strategy.BATCHES, Strategy.PING_PONG):
            self._add(self.second, list(self.green))
        self.states.settle()  # all of it was found healthy before

    def _add(self, side: Side, names: list[str]) -> None:
        side.pods |= {name: self.green[name] for name in names}
        self.states.register(side.group, [(name, PORT) for name in names])

    def _remove(self, names: list[str]) -> None:
        self.states.deregister(self.first.group, [(name, PORT) for name in names])

    def _weigh(self, share: float) -> None:
        self.first.weight, self.second.weight = 1 - share, share

    def _events(self) -> Iterator[Event]:
        """Yield (second, what, with what) in order."""
        moved = list(self._moved_targets())
        match self._situation.strategy:
            case Strategy.UNGATED | Strategy.GATED:
                yield from moved
            case Strategy.HANDOVER:
                yield from [event for event in moved if event[1] == self._remove]
            case Strategy.CANARY:
                # All users are at green in the canary's group; then the stable Service moves, and the weight goes back.
                yield (0.0, self._weigh, 1.0)
                yield from sorted([*moved, (RULE_SECONDS, self._weigh, 0.0)], key=lambda event: event[0])
            case Strategy.BATCHES:
                yield from ((second + RULE_SECONDS, self._weigh, share) for second, share in BATCHES)
            case Strategy.PING_PONG:
                yield (RULE_SECONDS, self._weigh, 1.0)
            case Strategy.INSTANCE:
                # kube-proxy sends new connections to green; no target is registered or deregistered.
                yield (RULE_SECONDS, self._swap, None)

    def _swap(self, _: None) -> None:
        self.states.deregister(self.first.group, [(name, PORT) for name in self.blue])

    def _moved_targets(self) -> Iterator[Event]:
        second = 0.0
        for names in _batches(list(self.blue)):
            second += CALL_SECONDS
            yield (second, self._remove, names)
        for names in _batches(list(self.green)):
            second += CALL_SECONDS
            yield (second, partial(self._add, self.first), names)


def _batches(names: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(names), CALL_TARGETS):
        yield names[begin : begin + CALL_TARGETS]
