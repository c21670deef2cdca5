"""An embedded Kubernetes API and an embedded AWS over real HTTP, for `make run` and the tests.

This is not part of the product: it imports nothing of it, and the product never imports this.
"""
