"""Kubernetes: the only room that knows the `kubernetes` client. It reads a Rollout and what belongs to it."""
