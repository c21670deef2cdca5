"""One Rollout to which anything may happen: what Argo, the kubelets, the controllers and the load balancer do.

Plain state and what changes it, some of it at once and some a random while later; `random_world` writes it down.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from random import Random
from threading import RLock

from tests.stories import truth
from tests.world.cluster import objects

NAMESPACE = "shop"
PORTS = {"http": 80, "admin": 9000}
ADMIN_PORT = 9000
CONTROLLER, AUTO_MODE = "elbv2.k8s.aws", "eks.amazonaws.com"
FOREIGN_OWNER = "uid-of-another-owner"

STATES = (
    ("healthy", ""),
    ("initial", "Elb.InitialHealthChecking"),
    ("unhealthy", "Target.ResponseCodeMismatch"),
    ("unhealthy", "Target.Timeout"),
    ("unhealthy", "Elb.InternalError"),
    ("unhealthy.draining", "Target.FailedHealthChecks"),
    ("draining", "Target.DeregistrationInProgress"),
    ("draining", "Target.DeregistrationInProgress"),
    ("unused", "Target.InvalidState"),
    ("unused", "Target.NotInUse"),
    ("unavailable", "Target.HealthCheckDisabled"),
    *(("sleeping", "Target.NobodyKnows"), ("Healthy", "")) * 2,
)
"""States a target may be in, with AWS's reasons; the last two are none of AWS's."""


class StoryClock:
    """The time of a story: of the world and of the truth; the readers' own clock is made of it.

    Kubernetes' and AWS's clocks may be apart from it (`others`), and the machine's may be set (`machine_ahead`).

    Whoever lets time pass while somebody reads holds `passing` until the world is as it is by then: a reader who looks
    at the clock in between would take what he reads next for newer than it is.
    """

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
        self.others = truth.Clocks()
        self.machine_ahead = timedelta(0)
        self.passing = RLock()

    def __call__(self) -> datetime:
        with self.passing:
            return self.now

    def seconds(self) -> float:
        """The same time in seconds, for the world."""
        return self.now.timestamp()

    def machine(self) -> datetime:
        """What the clock of the provider's machine shows."""
        return self.now + self.machine_ahead

    @property
    def kubernetes_ahead(self) -> timedelta:
        """How far Kubernetes' clock is ahead."""
        return timedelta(seconds=self.others.kubernetes)

    @property
    def aws_ahead(self) -> timedelta:
        """How far AWS's clock is ahead."""
        return timedelta(seconds=self.others.aws)


@dataclass(eq=False)
class Pod:
    name: str
    created_at: datetime
    port: int | None
    sick: bool
    foreign_owner: bool = False
    ip: str = ""
    ready_since: datetime | None = None
    terminating: bool = False
    ended: str = ""
    """The phase in which it never runs again."""

    @property
    def is_active(self) -> bool:
        """Whether its ReplicaSet counts it."""
        return not self.terminating and not self.ended

    @cached_property
    def uid(self) -> str:
        return objects.deterministic_uid("Pod", NAMESPACE, self.name)

    @property
    def key(self) -> tuple[str, int] | None:
        """What the load balancer controller would register of it."""
        ready = self.ip and self.ready_since and self.is_active and self.port is not None
        return (self.ip, self.port or 0) if ready else None


@dataclass(eq=False)
class Revision:
    rollout: str
    pod_hash: str
    owner_uid: str
    created_at: datetime
    port: int
    replicas: int = 0
    generation: int = 1
    observed_generation: int = 1
    pods: list[Pod] = field(default_factory=list)

    @cached_property
    def uid(self) -> str:
        return objects.deterministic_uid("ReplicaSet", NAMESPACE, f"{self.rollout}-{self.pod_hash}")

    @property
    def own(self) -> list[Pod]:
        """Its pods, as the ReplicaSet's status counts them."""
        return [pod for pod in self.pods if not pod.foreign_owner and pod.is_active]

    @property
    def available(self) -> int:
        """Those that are ready."""
        return sum(pod.ready_since is not None for pod in self.own)


@dataclass(eq=False)
class ServiceState:
    pod_hash: str
    written_at: datetime | None
    exists: bool = True


@dataclass(eq=False)
class BoundGroup:
    """A target group with its TargetGroupBinding."""

    name: str
    service: str
    by_name: bool
    api: str
    arn: str = ""
    port: int | str = 80
    bound: bool = True
    other_account: bool = False
    in_use: bool = True
    passes: bool = True
    """Whether its health check fits the pods: another path or matcher than that of the other groups may not."""
    interval_seconds: int = 15
    unhealthy_threshold: int = 2
    entries: dict[tuple[str, int], list[tuple[str, str]]] = field(default_factory=dict)
    leaving: set[tuple[str, int]] = field(default_factory=set)


ROLES = {"blueGreen": ("active", "preview"), "canary": ("stable", "canary"), "pingPong": ("ping", "pong")}
"""The Service of production first; with ping-pong the two swap."""


class RandomRollout:
    """A Rollout of one strategy with its own load balancer, and everything that can happen to it."""

    def __init__(self, clock: StoryClock, random: Random, strategy: str) -> None:
        self.clock, self.random = clock, random
        self.strategy, self.name = strategy, f"web-{strategy.lower()}"
        self.history = truth.History(clock.others)
        self.exists, self.uid = True, objects.deterministic_uid("Rollout", NAMESPACE, self.name)
        self.generation = self.observed_generation = 1
        self.replicas = random.choice((1, 2, 3, 3, 4, 6))
        self.shared = False
        self.points: dict[truth.Point, float] = {}
        self.undelivered: dict[truth.Point, float] = {}
        self.minute = (clock.now + clock.aws_ahead).replace(second=0, microsecond=0)
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers, self._addresses = count(1), count(1)
        self.green = self.blue = self._revision(age_seconds=3600)
        self.revisions = [self.green]
        self.ping_pong = "ping"
        self.services = {
            self.service(role): ServiceState(self.green.pod_hash, self.since(3000)) for role in ROLES[strategy]
        }
        self.balancer = ""
        self.groups = self._bind()

    # Small words of the story.

    def service(self, role: str) -> str:
        return f"{self.name}-{role}"

    def since(self, seconds: float = 0) -> datetime:
        """A moment ago; Kubernetes writes it in whole seconds of its own clock."""
        ahead = self.clock.kubernetes_ahead
        return (self.clock.now + ahead - timedelta(seconds=seconds)).replace(microsecond=0) - ahead

    def after(self, longest_seconds: float, event: Callable[[], None]) -> None:
        """Let something happen within the next seconds."""
        moment = self.clock.now + timedelta(seconds=self.random.uniform(0.1, longest_seconds))
        heapq.heappush(self._due, (moment, next(self._numbers), event))

    @property
    def next_due(self) -> datetime:
        """When the next thing happens by itself: an event, or the end of a minute."""
        following = self._end_of_minute
        return min(following, self._due[0][0]) if self._due else following

    def happen(self) -> None:
        """Let everything happen that is due now."""
        while self._due and self._due[0][0] <= self.clock.now:
            heapq.heappop(self._due)[2]()
        while self._end_of_minute <= self.clock.now:
            self._end_minute()

    @property
    def _end_of_minute(self) -> datetime:
        """When the minute of metrics is over, which AWS's clock cuts."""
        return self.minute + truth.MINUTE - self.clock.aws_ahead

    @property
    def production(self) -> ServiceState:
        """The Service by which users come."""
        return self.services[self._production_name]

    @property
    def idle(self) -> ServiceState:
        """The Service by which green is only checked."""
        return self.services[next(name for name in self.services if name != self._production_name)]

    @property
    def _production_name(self) -> str:
        return self.service(self.ping_pong if self.strategy == "pingPong" else ROLES[self.strategy][0])

    # What people and Argo do.

    def supersede(self) -> None:
        """The template changes; Argo sees it some time later."""
        self.generation += 1
        self.after(self.random.choice((3, 3, 10, 60)), lambda: self._observe(self._revision()))

    def roll_back(self) -> None:
        """The template is again that of the stable revision."""
        self.generation += 1
        self.after(self.random.choice((3, 3, 10, 60)), lambda: self._observe(self.blue))

    def touch(self) -> None:
        """Something in the Rollout changes that is no template."""
        self.generation += 1
        self.after(self.random.choice((3, 90)), lambda: self._observe(self.green))

    def _observe(self, green: Revision) -> None:
        self.observed_generation = self.generation
        if green is self.green:
            return
        old, self.green = self.green, green
        if green not in self.revisions:
            self.revisions.append(green)
        self.after(3, lambda: self._select(self.idle, green))
        self.after(5, lambda: self._want(green, self.replicas))
        if old is not self.blue:
            self.after(30, lambda: self._want(old, 0))

    def switch(self) -> None:
        """Argo lets production reach green, and promotes it later."""
        green = self.green
        if self.strategy != "pingPong":
            self._select(self.production, green)
        self.after(25, lambda: self._promote(green))

    def _promote(self, green: Revision) -> None:
        if self.green is not green or self.blue is green:
            return
        old, self.blue = self.blue, green
        if self.strategy == "pingPong":
            self.ping_pong = "pong" if self.ping_pong == "ping" else "ping"
        self.after(40, lambda: self._want(old, 0))

    def abort(self) -> None:
        """Argo gives green up: production is blue's again, and green is scaled down."""
        green = self.green
        if green is not self.blue:
            if self.strategy != "pingPong":
                self._select(self.production, self.blue)
            self.after(30, lambda: self._want(green, 0))

    def retry(self) -> None:
        """An aborted green is tried again."""
        self._select(self.idle, self.green)
        self._want(self.green, self.replicas)

    def scale(self) -> None:
        """The Rollout gets another size."""
        self.replicas = self.random.choice((1, 2, 3, 4, 6, 9))
        self.generation += 1

        def act() -> None:
            self.observed_generation = self.generation
            self._want(self.green, self.replicas)

        self.after(self.random.choice((2, 20)), act)

    def delete(self) -> None:
        """The Rollout is gone; an equal one comes later, and owns the old ReplicaSets only once it adopts them."""
        self.exists = False

        def create() -> None:
            self.exists, self.uid = True, objects.deterministic_uid("Rollout", self.name, str(next(self._numbers)))
            self.after(90, adopt)

        def adopt() -> None:
            for revision in self.revisions:
                revision.owner_uid = self.uid

        self.after(self.random.choice((1, 40)), create)

    def _revision(self, age_seconds: float = 0) -> Revision:
        pod_hash = objects.pod_template_hash(f"{self.name} {next(self._numbers)}")
        return Revision(self.name, pod_hash, self.uid, self.since(age_seconds), self.random.choice((8080, 8080, 9090)))

    def _select(self, service: ServiceState, revision: Revision) -> None:
        if service.pod_hash != revision.pod_hash:
            service.pod_hash, service.written_at = revision.pod_hash, self.since()
            self.after(4, self.register)

    def _want(self, revision: Revision, replicas: int) -> None:
        """Change a ReplicaSet's size; its controller sees that some time later."""
        if revision.replicas != replicas:
            revision.replicas, revision.generation = replicas, revision.generation + 1
            generation = revision.generation

            def observe() -> None:
                revision.observed_generation = max(generation, revision.observed_generation)
                self._keep(revision)

            self.after(self.random.choice((1, 1, 5, 40)), observe)

    # What the kubelets do.

    def _keep(self, revision: Revision) -> None:
        """Create or end pods until there are as many as wanted."""
        own = revision.own
        for _ in range(revision.replicas - len(own)):
            self._create(revision)
        for pod in own[revision.replicas :] if revision.replicas < len(own) else ():
            self._end(revision, pod)

    def _create(self, revision: Revision, *, foreign_owner: bool = False) -> None:
        number = next(self._numbers)
        port = None if self.random.random() < 0.01 else revision.port
        pod = Pod(f"{self.name}-{revision.pod_hash}-{number}", self.since(), port, self.random.random() < 0.06)
        pod.foreign_owner = foreign_owner
        revision.pods.append(pod)
        self.after(3, lambda: self._give_address(pod))
        self.after(self.random.choice((6, 6, 6, 6, 6, 6, 6, 90)), lambda: self._get_ready(pod))

    def _give_address(self, pod: Pod) -> None:
        number = next(self._addresses)
        pod.ip = f"10.0.{number // 250}.{number % 250 + 1}"

    def _get_ready(self, pod: Pod) -> None:
        if not pod.ip:
            self._give_address(pod)
        pod.ready_since = self.since()
        self.after(4, self.register)

    def _end(self, revision: Revision, pod: Pod) -> None:
        pod.terminating = True
        self.after(4, self.register)

        def vanish() -> None:
            if pod in revision.pods:
                revision.pods.remove(pod)

        self.after(self.random.choice((5, 60)), vanish)

    def _any_pod(self) -> Pod | None:
        pods = [pod for pod in self.green.pods if pod.ip and pod.is_active]
        return self.random.choice(pods) if pods else None

    def crash(self) -> None:
        """A pod's containers stop and start again."""
        if pod := self._any_pod():
            pod.ready_since = None
            self._check(pod)
            self.after(self.random.choice((5, 60)), lambda: self._get_ready(pod))
            self.after(90, lambda: self._check(pod))

    def end_pod(self) -> None:
        """A pod is evicted, or it completes: it stays as it is, and another one comes, at once or a while later."""
        if pod := self._any_pod():
            green, pod.ended = self.green, self.random.choice(("Failed", "Failed", "Succeeded"))
            if self.random.random() < 0.5:
                pod.ip = ""
            self.after(4, self.register)
            self.after(self.random.choice((1, 1, 60)), lambda: self._keep(green))
            self.after(self.random.choice((60, 600)), lambda: green.pods.remove(pod))

    def drain(self) -> None:
        """A pod is moved elsewhere: one ends, another begins."""
        if pod := self._any_pod():
            self._end(self.green, pod)
            self._keep(self.green)

    def change_address(self) -> None:
        """A pod's sandbox is created again, with another address."""
        if pod := self._any_pod():
            self._give_address(pod)
            self.after(4, self.register)

    def intrude(self) -> None:
        """A pod with green's labels appears that is another owner's."""
        self._create(self.green, foreign_owner=True)

    def sicken(self) -> None:
        """Most of green begins to fail its health checks, though its containers stay ready."""
        for pod in self.green.pods:
            if self.random.random() < 0.8:
                pod.sick = True
                self._check(pod)
        self.after(self.random.choice((40, 300)), self.heal)

    def break_group(self, api: str = "") -> None:
        """One group's health check does not fit the pods for a while; the other groups' do."""
        pod = self._any_pod()
        group = self.random.choice((pod and self._holding(pod, api)) or self.groups)

        def change(*, passes: bool) -> None:
            group.passes = passes
            for pod in self.green.pods:
                self._check(pod)

        change(passes=False)
        self.after(self.random.choice((40, 150)), lambda: change(passes=True))

    def heal(self) -> None:
        """All of green answers its health checks well again, everywhere."""
        for group in self.groups:
            group.passes = group.in_use = True
        for pod in self.green.pods:
            pod.sick = False
            self._check(pod)

    def restore(self) -> None:
        """Everything is as it should be, at once: whatever happens next is the only thing wrong."""
        self.exists, self.observed_generation, self.green.owner_uid = True, self.generation, self.uid
        if self.green is not self.blue:
            self._select(self.idle, self.green)
        first, second = self.services
        for number, group in enumerate(self.groups):
            group.bound, group.port, group.other_account = True, 80, False
            group.service = first if number in (0, 3) else second
        for service in self.services.values():
            service.exists, service.written_at = True, service.written_at or self.since()
        green = self.green
        green.replicas = green.replicas or self.replicas
        green.observed_generation = green.generation
        self._keep(green)
        for pod in green.pods:
            pod.port = green.port
            if pod.is_active and pod.ready_since is None:
                self._get_ready(pod)
        self.register()
        self.heal()

    # What the controllers and the load balancer do.

    def register(self) -> None:
        """Let every group hold what its Service's endpoints are now; what leaves drains for a while."""
        for group in self.groups:
            service = self.services[group.service]
            selected = [pod for one in self.revisions if one.pod_hash == service.pod_hash for pod in one.pods]
            wanted = {pod.key: pod for pod in selected if pod.key} if service.exists and group.bound else {}
            for key, pod in wanted.items():
                if key not in group.entries or key in group.leaving:
                    group.leaving.discard(key)
                    group.entries[key] = [("initial", "Elb.RegistrationInProgress")]
                    self.after(self.random.choice((5, 20)), lambda pod=pod: self._check(pod))  # type: ignore[misc]
            for key in [key for key in group.entries if key not in wanted and key not in group.leaving]:
                group.leaving.add(key)
                group.entries[key] = [("draining", "Target.DeregistrationInProgress")]
                self.after(40, lambda group=group, key=key: self._forget(group, key))  # type: ignore[misc]

    def _forget(self, group: BoundGroup, key: tuple[str, int]) -> None:
        if key in group.leaving:
            group.leaving.discard(key)
            group.entries.pop(key, None)

    def _check(self, pod: Pod) -> None:
        """Let the load balancer check a pod in every group."""
        for group in self.groups:
            key = (pod.ip, pod.port or 0)
            if key in group.entries and key not in group.leaving:
                passed = group.passes and not pod.sick and pod.ready_since is not None
                group.entries[key] = [("healthy", "") if passed else ("unhealthy", "Target.ResponseCodeMismatch")]

    def blip(self) -> None:
        """One target of one group is in any state for a while, or is listed twice."""
        self.show(self.random.choice(STATES), twice=self.random.random() < 0.3)

    def show(self, state: tuple[str, str], *, twice: bool = False) -> None:
        """Let one of green's targets be in this state for a while; `twice` beside a healthy entry for it."""
        pod = self._any_pod()
        if pod and (holding := self._holding(pod)):
            both = [("healthy", ""), state] if self.random.random() < 0.5 else [state, ("healthy", "")]
            self.random.choice(holding).entries[pod.ip, pod.port or 0] = both if twice else [state]
            self.after(self.random.choice((60, 120)), lambda: self._check(pod))

    def flap(self, times: int = 3) -> None:
        """One of green's targets fails its health checks again and again, each time for less than its grace."""
        pod = self._any_pod()
        if pod is None or not times:
            return
        for group in self._holding(pod):
            group.entries[pod.ip, pod.port or 0] = [("unhealthy", "Target.Timeout")]

        def recover() -> None:
            self._check(pod)
            self.after(20, lambda: self.flap(times - 1))

        self.after(25, recover)

    def _holding(self, pod: Pod, api: str = "") -> list[BoundGroup]:
        """Return the groups in which a pod is a target, of one API of bindings or of any."""
        key = (pod.ip, pod.port or 0)
        return [group for group in self.groups if key in group.entries and api in ("", group.api)]

    def add_stranger(self) -> None:
        """A target of somebody else is in the group, in any state; or green's address with another port."""
        group, pod = self.random.choice(self.groups), self._any_pod()
        key = (pod.ip, ADMIN_PORT) if pod and self.random.random() < 0.5 else ("10.99.0.7", 8080)
        group.entries[key] = [self.random.choice(STATES)]
        group.leaving.add(key)
        self.after(60, lambda: self._forget(group, key))

    def detach(self) -> None:
        """No listener rule forwards to a group for a while."""
        group = self.random.choice(self.groups)
        group.in_use = False
        self.after(60, lambda: setattr(group, "in_use", True))

    def change_checks(self) -> None:
        """A group's health check is changed, and with it the default grace."""
        group = self.random.choice(self.groups)
        group.interval_seconds, group.unhealthy_threshold = self.random.choice(((5, 2), (15, 2), (30, 3), (60, 5)))

    def share_balancer(self) -> None:
        """The load balancer serves somebody else's target group too."""
        self.shared = True

    def change_binding(self) -> None:
        """A TargetGroupBinding is deleted, or names a port, an account or a Service that it should not."""
        group = self.random.choice(self.groups)
        service = group.service

        def undo() -> None:
            group.bound, group.port, group.other_account, group.service = True, 80, False, service
            self.after(4, self.register)

        match self.random.randrange(5):
            case 0:
                group.bound = False
            case 1:
                group.port = self.random.choice((81, "https"))
            case 2:
                group.other_account = True
            case 3:
                group.port = self.random.choice(("http", "admin", 9000))
            case _:
                group.service = self.random.choice(list(self.services))
        self.after(4, self.register)
        self.after(60, undo)

    def change_service(self) -> None:
        """A Service is deleted, selects nothing of the Rollout, or forgets who wrote it."""
        service = self.random.choice(list(self.services.values()))
        before = service.pod_hash

        def undo() -> None:
            service.exists = True
            if not service.pod_hash:
                service.pod_hash, service.written_at = before, self.since()
            service.written_at = service.written_at or self.since()
            self.after(4, self.register)

        match self.random.randrange(3):
            case 0:
                service.exists = False
            case 1:
                service.pod_hash, service.written_at = "", self.since()
            case _:
                service.written_at = None
        self.after(4, self.register)
        self.after(60, undo)

    # What users and CloudWatch do.

    def change_traffic(self) -> None:
        """Users come or stay away, get 5xx or none, and CloudWatch is in time, late or silent."""
        pick = self.random.choice
        self.requests = pick((0, 3, 200, 200, 1000))
        self.error_share = {group.arn: pick((0, 0, 0, 0, 0.004, 0.03, 0.5)) for group in self.groups}
        self.balancer_error_share = pick((0, 0, 0, 0.004, 0.3))
        self.delays = pick(((45,), (45,), (20, 100), (100, 400)))
        self.lost_share = pick((0, 0, 0, 0.3, 1))

    def _end_minute(self) -> None:
        """Count the minute that is over; CloudWatch will have its points after a while, some of them never."""
        over, minute = self._end_of_minute, self.minute
        self.minute += truth.MINUTE
        if self.random.random() < 0.1:
            self.change_traffic()
        values: dict[tuple[str, str], int] = {}
        for group in self.groups:
            if group.in_use:
                values |= self._counted(group)
        values["RequestCount", self.balancer] = self.requests * len(self.groups)
        for code, share in (("502", 0.5), ("503", 0.5)):
            values[f"HTTPCode_ELB_{code}_Count", self.balancer] = int(self.requests * self.balancer_error_share * share)
        values["HTTPCode_ELB_5XX_Count", self.balancer] = sum(
            values[f"HTTPCode_ELB_{code}_Count", self.balancer] for code in ("502", "503")
        )
        late: dict[int, list[tuple[str, str]]] = {}
        for key, value in values.items():
            if (value or key[0] == "HealthyHostCount") and self.random.random() >= self.lost_share:
                late.setdefault(self.random.choice(self.delays), []).append(key)
        for delay, keys in late.items():
            points = {(*key, minute): float(values[key]) for key in keys}
            heapq.heappush(
                self._due,
                (over + timedelta(seconds=delay), next(self._numbers), lambda new=points: self._deliver(new)),  # type: ignore[misc]
            )

    def _counted(self, group: BoundGroup) -> dict[tuple[str, str], int]:
        failed = int(self.requests * self.error_share[group.arn])
        refused = self.random.choice((0, failed))
        healthy = sum(states == [("healthy", "")] for states in group.entries.values())
        return {
            ("RequestCount", group.arn): self.requests,
            ("HTTPCode_Target_5XX_Count", group.arn): failed - refused // 2,
            ("TargetConnectionErrorCount", group.arn): refused // 2,
            ("HealthyHostCount", group.arn): healthy,
        }

    def _deliver(self, points: dict[truth.Point, float]) -> None:
        oldest = self.clock.now + self.clock.aws_ahead - timedelta(minutes=25)
        self.points = {key: value for key, value in self.points.items() if key[2] > oldest} | points
        self.undelivered |= points

    # How it begins.

    def _bind(self) -> list[BoundGroup]:
        """Bind two groups to one Service, one by each API, and a third by its name to the other."""
        first, second = self.services
        plan: tuple[tuple[str, bool, str], ...]
        plan = ((first, False, CONTROLLER), (second, False, CONTROLLER), (second, True, CONTROLLER))
        if self.random.random() < 0.9:
            plan = (*plan, (first, False, AUTO_MODE), (second, False, AUTO_MODE))
        found = []
        for number, (service, by_name, api) in enumerate(plan):
            name = f"{self.name}-{number}"
            found.append(BoundGroup(name, service, by_name, api))
        return found

    def settle(self) -> None:
        """Begin as after a long calm: every pod a healthy target, and ten minutes of metrics."""
        self.green.replicas = self.replicas
        for _ in range(self.replicas):
            self._create(self.green)
        self._due.clear()
        for pod in self.green.pods:
            pod.sick, pod.created_at, pod.port = False, self.since(3000), self.green.port
            self._give_address(pod)
            pod.ready_since = self.since(2900)
        self.register()
        self._due.clear()
        self.heal()
        self.change_traffic()
