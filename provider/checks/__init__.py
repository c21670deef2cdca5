"""The questions. App, command line, documentation and tests iterate over QUESTIONS.

To add one: a file beside these, a row here, a test file, an example, and a line in the README.
"""

from provider.checks import errors, gate, replicas, target_health
from provider.question import Check

PARTS: tuple[Check, ...] = (replicas.CHECK, target_health.CHECK, errors.CHECK)
"""What the gate asks, in the order of its sentence."""

QUESTIONS: dict[str, Check] = {check.name: check for check in (target_health.CHECK, errors.CHECK, gate.gate_of(PARTS))}
"""Every question by its name in the URL and on the command line."""
