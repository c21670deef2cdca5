"""Where evidence comes from: Kubernetes and AWS, and how queries share what was read there."""
