"""The few fields of Kubernetes objects that we judge, decoded straight from JSON into records.

Decoding only these costs 1/50 of the CPU of the client library's models (250 pods: 6 ms instead of 370), and an answer
of another shape fails loudly (msgspec.ValidationError) instead of reading as absent. Field names are those of the
APIs; a field that the API may leave out or send as null has a default here and nowhere else.

Everything that a record keeps has a maximum length: `Name`, `Label`, `Reference` or `Text`. A plain `str` is compared
and dropped. So no object can fill the provider's memory or its log.
"""

from provider.sources.kubernetes.shapes.answers import *
from provider.sources.kubernetes.shapes.argo import *
from provider.sources.kubernetes.shapes.fields import *
from provider.sources.kubernetes.shapes.lease import *
from provider.sources.kubernetes.shapes.rollout import *
from provider.sources.kubernetes.shapes.service import *
from provider.sources.kubernetes.shapes.workload import *
