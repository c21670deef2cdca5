"""Asks the provider for a handover, as the AnalysisRun of the story's Rollout does."""

from __future__ import annotations

import threading

import requests

from provider.demo.story.rollouts import NAMESPACE

TIMEOUT_SECONDS = 10.0
"""Argo's own for a web metric."""


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
