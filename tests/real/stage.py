"""One Rollout in a namespace of its own, and what a scenario can do to it and ask of it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.examples import built
from tests.real.api import Manifest
from tests.real.cast import Cast
from tests.real.control_plane import Argo
from tests.real.facts import Facts
from tests.real.recorder import Answer

SHIPPED_URLS = ("http://alb-provider.alb-provider.svc:8080", "http://alb-provider-handover.alb-provider.svc:8080")

SHORTER = {"10s": "3s", "30s": "3s", "60s": "10s"}
"""The examples' intervals, and what a scenario waits instead. The minutes of CloudWatch stay as they are."""

REPLICAS = 4


@dataclass(frozen=True)
class Pace:
    """What a stage changes in an example: its size, and its intervals so that a scenario takes less time."""

    replicas: int = REPLICAS
    intervals: Mapping[str, str] = field(default_factory=lambda: SHORTER)
    health_check_seconds: int = 5


class Stage:
    """A namespace with one of the examples in it, as shipped but for names, address and pace."""

    def __init__(self, cast: Cast, argo: Argo, name: str, facts: Facts, pace: Pace = Pace()) -> None:
        self.cast = cast
        self.api = cast.api
        self.argo = argo
        self.namespace = f"{name}-{argo.version.replace('.', '')}"
        self.rollout_name = "web"
        self.pace = pace
        self._facts = facts

    def set_up(self, folder: str, *changes: Callable[[Manifest], None]) -> None:
        """Apply an example, with a healthy first version, and wait until it stands.

        `changes` may edit every manifest before it is applied.
        """
        manifests = built(folder)
        for manifest in manifests:
            self._prepare(manifest)
            for change in changes:
                change(manifest)
        late = [one for one in manifests if one["kind"] == "Rollout"]
        early = [one for one in manifests if one["kind"] != "Rollout"]
        early.sort(key=lambda one: one["kind"] != "Namespace")
        self.api.apply(early, self.namespace)
        if folder != "ping-pong":
            bindings = {"blue-green": 2, "blue-green-without-gap": 2, "instance-mode": 2}.get(folder, 0)
            self.until("the bindings", lambda: len(self.api.list("TargetGroupBinding", self.namespace)) >= bindings)
        for rollout in late:
            _set_tag(rollout, "1")
            rollout["spec"]["replicas"] = self.pace.replicas
        self.api.apply(late, self.namespace)
        self.until("the first version", lambda: self.phase == "Healthy" and self.production == self.stable != "")

    def apply(self, manifests: list[Manifest]) -> None:
        """Apply manifests of an example in this namespace."""
        for manifest in manifests:
            self._prepare(manifest)
        self.api.apply(manifests, self.namespace)

    def _prepare(self, manifest: Manifest) -> None:
        if manifest["kind"] == "Namespace":
            manifest["metadata"]["name"] = self.namespace
        if manifest["kind"] in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
            for metric in manifest["spec"]["metrics"]:
                if "web" in metric["provider"]:
                    web = metric["provider"]["web"]
                    for shipped in SHIPPED_URLS:
                        web["url"] = web["url"].replace(shipped, self.cast.recorder.server.url)
                for delay in ("interval", "initialDelay"):
                    if delay in metric:
                        metric[delay] = self.pace.intervals.get(metric[delay], metric[delay])
        if manifest["kind"] == "Ingress":
            seconds = str(self.pace.health_check_seconds)
            manifest["metadata"]["annotations"]["alb.ingress.kubernetes.io/healthcheck-interval-seconds"] = seconds

    # What a person does.

    def deploy(self, tag: str) -> None:
        """Change the image."""
        rollout = self.rollout
        _set_tag(rollout, tag)
        before = self.green
        self.api.patch(
            "Rollout", self.namespace, self.rollout_name, {"spec": {"template": rollout["spec"]["template"]}}
        )
        self.until("Argo's new version", lambda: self.green != before)

    def command(self, *arguments: str) -> str:
        """Run `kubectl argo rollouts …` in this namespace."""
        return self.argo.command(self.namespace, *arguments)

    def edit(self, **spec: Any) -> None:
        """Merge into the Rollout's spec."""
        self.api.patch("Rollout", self.namespace, self.rollout_name, {"spec": spec})

    def replace_strategy(self, strategy: Manifest) -> None:
        """Put another strategy in place of the Rollout's own."""
        cleared = dict.fromkeys(self.rollout["spec"]["strategy"])
        self.api.patch("Rollout", self.namespace, self.rollout_name, {"spec": {"strategy": cleared | strategy}})

    # What there is to see.

    @property
    def is_observed(self) -> bool:
        """Whether Argo has processed the latest change."""
        rollout = self.rollout
        return bool(str(rollout["metadata"]["generation"]) == rollout.get("status", {}).get("observedGeneration"))

    @property
    def rollout(self) -> Manifest:
        """The Rollout as it is."""
        return self.api.get("Rollout", self.namespace, self.rollout_name)

    @property
    def status(self) -> Manifest:
        """Its status, empty before Argo saw it."""
        found: Manifest = self.rollout.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """Its phase."""
        return str(self.status.get("phase", ""))

    @property
    def green(self) -> str:
        """The hash of the version that Argo is rolling out."""
        return str(self.status.get("currentPodHash", ""))

    @property
    def stable(self) -> str:
        """The hash of the stable version."""
        return str(self.status.get("stableRS", ""))

    @property
    def is_aborted(self) -> bool:
        """Whether Argo has aborted it."""
        return bool(self.status.get("abort"))

    @property
    def pauses(self) -> list[str]:
        """Why Argo has paused it."""
        return [pause["reason"] for pause in self.status.get("pauseConditions") or ()]

    @property
    def production(self) -> str:
        """The version with all of the traffic, as the watcher saw it last."""
        events = self.cast.watcher.events(self.namespace, "production")
        return str(events[-1].value) if events else ""

    def answers(self, pod_hash: str = "", stage: str = "") -> list[Answer]:
        """Return what was answered, to all questions or to those about a version or a stage."""
        return [
            answer
            for answer in self.cast.recorder.answers(self.namespace)
            if pod_hash in ("", answer.parameters.get("podTemplateHash"))
            and stage in ("", answer.parameters.get("stage"))
        ]

    def told(self, pod_hash: str = "", stage: str = "") -> list[str]:
        """Return the answers as `phase/reason`, each run of equal ones once."""
        found: list[str] = []
        for answer in self.answers(pod_hash, stage):
            text = f"{answer.phase}/{answer.reason}" if answer.status == 200 else str(answer.status)
            if found[-1:] != [text]:
                found.append(text)
        return found

    def note(self, when: str, then: str) -> None:
        """Keep for the documentation what this version of Argo does in a situation."""
        self._facts.note(self.argo.version, when, then)

    @contextmanager
    def listening(self) -> Iterator[list[dict[str, Any]]]:
        """Ask `target-health` twice a second of a provider that reads everything anew, and keep the answers."""
        answers: list[dict[str, Any]] = []
        over = threading.Event()

        def listen() -> None:
            while not over.wait(0.4):
                response = self.cast.attentive.ask("target-health", namespace=self.namespace, rollout=self.rollout_name)
                answers.append(response.json())

        thread = threading.Thread(target=listen, name=f"listening to {self.namespace}")
        thread.start()
        try:
            yield answers
        finally:
            over.set()
            thread.join()

    @contextmanager
    def counting(self) -> Iterator[list[int]]:
        """Count ten times a second how many healthy targets users have: in the group with fewest that gets requests."""
        counts: list[int] = []
        over = threading.Event()

        def count() -> None:
            while not over.wait(0.1):
                counts.append(min(self.cast.healthy_for_users(self.namespace), default=0))

        thread = threading.Thread(target=count, name=f"counting in {self.namespace}")
        thread.start()
        try:
            yield counts
        finally:
            over.set()
            thread.join()

    # What must come.

    def until(self, what: str, condition: Callable[[], bool], seconds: float = 150.0) -> None:
        """Wait for something. Raises AssertionError with the whole story if it does not come."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come\n{self.story()}"
            time.sleep(0.3)

    def never(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Watch for some seconds that something does not happen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert not condition(), f"{what} happened\n{self.story()}"
            time.sleep(0.3)

    def until_switched(self, pod_hash: str = "", seconds: float = 150.0) -> None:
        """Wait until a version, green if none is named, has all of the traffic."""
        wanted = pod_hash or self.green
        self.until(f"the switch to {wanted}", lambda: self.production == wanted, seconds)

    def assert_law(self, *, ungated: Sequence[str] = ()) -> int:
        """The rule: at each switch after an analysis, green was healthy in AWS's own state at the last pass.

        `ungated` are versions to which Argo switches without asking; the first one always is. Returns how many
        switches were judged.
        """
        switches = [one for one in self.cast.watcher.events(self.namespace, "production") if one.value]
        judged = 0
        for event in switches[1:]:
            for part in str(event.value).split():
                pod_hash = part.partition("=")[0]
                if pod_hash in ungated or pod_hash == switches[0].value:
                    continue
                passes = [
                    answer
                    for answer in self.answers(pod_hash)
                    if answer.phase == "Successful" and answer.second < event.second and answer.question == "gate"
                ]
                assert len(passes) >= 3, f"switched to {pod_hash} with {len(passes)} passes\n{self.story()}"
                assert passes[-1].all_healthy, f"switched to {pod_hash} after a wrong pass\n{self.story()}"
                judged += 1
        for answer in self.answers():
            if answer.question == "gate" and answer.phase == "Successful":
                assert answer.all_healthy, f"a wrong pass: {answer}\n{self.story()}"
        return judged

    def story(self) -> str:
        """Return what happened, second by second, for the message of a failing test."""
        lines = [(event.second, str(event)) for event in self.cast.watcher.events(self.namespace)]
        said = ""
        for answer in self.answers():
            if said == (said := f"{answer.status} {answer.reason} {answer.body.get('message')} {answer.all_healthy}"):
                continue
            text = f"{answer.question} {answer.parameters.get('podTemplateHash')}: {answer.status} {answer.phase}"
            message = answer.body.get("message", "")
            lines.append((answer.second, f"    {text} {answer.reason} healthy={answer.all_healthy} {message}"))
        start = min((second for second, _ in lines), default=0.0)
        told = [f"{second - start:6.1f} {text}" for second, text in sorted(lines)]
        return "\n".join([*told, str(self.status.get("message")), *self.cast.errors()])


def _set_tag(rollout: Manifest, tag: str) -> None:
    container = rollout["spec"]["template"]["spec"]["containers"][0]
    container["image"] = f"{container['image'].rpartition(':')[0]}:{tag}"
