"""Frozen records: what Kubernetes and AWS said (evidence), and what the provider answers (verdict).

Readers return them, checks judge them. A record that can go stale has `read_at`, the time just before its request was
sent, so that its age is never understated.
"""

from provider.model.records.aws import *
from provider.model.records.cluster import *
from provider.model.records.evidence import *
from provider.model.records.rollout import *
