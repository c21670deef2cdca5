"""What has this replica answered about a Rollout lately, and what did it see of its switches?

The newest come first. `changes` are the answers whose phase, reason, version or stage differed from the last answer to
the same query (at most 50). `switches` say when a version went into production, whether a `Successful` answer of this
replica preceded it, for how long queries found no healthy target after it, and what CloudWatch counted in its first
minutes (at most 10). It is kept in memory until 6 hours after the last query, for at most 200 Rollouts, by each replica
for itself.
"""

from typing import Any

from provider.history.journal import Journal

NAME = "history"


def recall(journal: Journal, namespace: str, rollout: str) -> dict[str, Any]:
    """Return the history of a Rollout; its lists are empty if nobody queried it lately."""
    known = journal.find((namespace, rollout))
    return {
        "namespace": namespace,
        "rollout": rollout,
        "rememberedSince": journal.began_at.isoformat(timespec="seconds"),
        "changes": [one.observed() for one in reversed(known.changes)] if known else [],
        "switches": [one.observed() for one in reversed(known.switches.values())] if known else [],
    }
