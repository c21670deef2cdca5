"""The story that `make run` plays: Rollouts, their revisions and strategies, and the users' requests."""
