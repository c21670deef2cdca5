"""The way out: a blue-green Rollout as a ping-pong canary used like blue-green, with its own manifests around it.

Comments and order stay as they are; what was changed says so in a comment. Nothing is applied.
"""
