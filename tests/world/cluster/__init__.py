"""The embedded Kubernetes: an API server for reads, its objects, and the controllers behind Services."""
