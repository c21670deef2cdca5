"""Preflight: what a topology will do at its switch, told from its manifests before anything is deployed.

Each finding is a rule in a file of its topic: a pure function of a Setup, which is a Rollout with everything that it
leads to. To add one: a row in `findings.py`, a function in its topic, and a case in the table of the tests.
"""
