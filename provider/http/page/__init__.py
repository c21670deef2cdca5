"""The status page: what this replica knows of a Rollout, for a person with a browser."""
