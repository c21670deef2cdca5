"""Asks the provider as the AnalysisRuns of the story's Rollouts do: for a handover, and about everything else."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING

import requests

from tests.world.story.blue_green import Waiting
from tests.world.story.handed_over import HandedOver
from tests.world.story.rollouts import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world.story.rollouts import DemoRollout

TIMEOUT_SECONDS = 10.0
"""Argo's own for a web metric."""


ROUND_SECONDS = 5.0
"""In which each Rollout is asked about once."""


class GateQueries:
    """Asks the gate about each Rollout in turn, in a thread of its own, so that the status page has something to show.

    Those that stand still before their switch get requests, so their gate judges errors too.
    """

    def __init__(self, port: int, rollouts: Sequence[DemoRollout]) -> None:
        self._base = f"http://127.0.0.1:{port}/v1/gate"
        self._rollouts = [one for one in rollouts if not isinstance(one, HandedOver)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last answer."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = ROUND_SECONDS / max(len(self._rollouts), 1)
        with requests.Session() as session:
            session.trust_env = False
            for rollout in cycle(self._rollouts):
                if self._stopping.wait(pause):
                    return
                query = {"namespace": NAMESPACE, "rollout": rollout.name}
                if not (isinstance(rollout, Waiting) and rollout.preview_service in rollout.arns):
                    query["checks"] = "replicas,target-health"
                with suppress(requests.RequestException):  # the provider starts or stops
                    session.get(self._base, params=query, timeout=TIMEOUT_SECONDS)


class HandoverQueries:
    """One query at a time, in a thread of its own, so that the story goes on meanwhile."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/handover"
        self._answer: tuple[str, str] | None = None
        """The hash that was queried about, and the phase."""
        self._thread: threading.Thread | None = None

    def ask(self, rollout: str, pod_hash: str) -> str | None:
        """Return the phase of a query that has been answered, else begin one and return None."""
        if self._thread is not None and self._thread.is_alive():
            return None
        answer, self._answer = self._answer, None
        if answer is not None and answer[0] == pod_hash:
            return answer[1]
        self._thread = threading.Thread(target=self._query, args=(rollout, pod_hash), daemon=True)
        self._thread.start()
        return None

    def _query(self, rollout: str, pod_hash: str) -> None:
        body = {"namespace": NAMESPACE, "rollout": rollout, "podTemplateHash": pod_hash}
        with requests.Session() as session:
            session.trust_env = False
            try:
                response = session.post(self._url, json=body, timeout=TIMEOUT_SECONDS)
                self._answer = (pod_hash, response.json()["phase"])
            except (requests.RequestException, KeyError, ValueError):
                return  # the provider is still starting: the next tick tries again
