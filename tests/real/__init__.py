"""The provider judged by real parts: a real API server and Argo Rollouts at two versions. `make real` runs it."""

import pytest

pytest.register_assert_rewrite("tests.real.scenarios", "tests.real.stage")
