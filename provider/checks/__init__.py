"""The checks. The application, the command line, the documentation and the tests iterate over QUESTIONS.

To add one: a file here, a row below, a test file, an example, and its section in docs/answers.md.
"""

from provider.checks import errors, gate, replicas, target_health, warm
from provider.checks.question import Check

PARTS: tuple[Check, ...] = (replicas.CHECK, target_health.CHECK, errors.CHECK, warm.CHECK)
"""The checks of the gate, in the order of its sentence."""

QUESTIONS: dict[str, Check] = {
    check.name: check for check in (target_health.CHECK, errors.CHECK, warm.CHECK, gate.gate_of(PARTS))
}
"""Every question by its name in the URL and on the command line."""
