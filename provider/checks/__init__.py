"""The checks. The application, the command line, the documentation and the tests iterate over QUESTIONS.

To add one: a file here, a row below, a test file, an example, and its section in the documentation.
"""

from provider.checks import errors, gate, target_health, warm
from provider.checks.question import AnyCheck

QUESTIONS: dict[str, AnyCheck] = {
    check.name: check for check in (target_health.CHECK, errors.CHECK, warm.CHECK, gate.CHECK)
}
"""Every check with an endpoint of its own, by its name in the URL and on the command line."""
