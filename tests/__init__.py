"""The folders mirror those of `provider/`; `repository/` checks documentation, examples, manifests and the image."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The repository."""

LONG = os.environ.get("LONG_TESTS") == "1"
"""Whether random tests repeat as often as CI wants (`make test-all`), not only as often as a developer waits for."""
