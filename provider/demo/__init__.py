"""An embedded Kubernetes API and an embedded AWS that answer over real HTTP, for `make run` and the tests.

Nothing here is part of the service: it may not import the rest of `provider`, and `provider` never imports
it.
"""
