"""Real requests through real switches: `make traffic`. See `tests/traffic/__main__.py`."""
