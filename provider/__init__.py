"""The ALB provider: tells Argo Rollouts whether the AWS load balancer agrees that green is ready.

It reads Kubernetes and AWS, writes only where it is told to (handover, Events), and answers over HTTP: the metric that
an AnalysisTemplate's `web` provider asks before and after a blue-green switch or between the steps of a canary.
"""

import os

__version__ = "0.2.0"

DOCUMENTATION = os.environ.get(
    "ALB_PROVIDER_DOCUMENTATION", "https://github.com/example/alb-provider/blob/main/docs"
).rstrip("/")
"""Where a user reads docs/; a release has the address of its own repository (.github/workflows/release.yaml)."""
