"""What the API server wraps objects in, and how it refuses; with the decoders of all shapes."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import field

from provider.sources.kubernetes.shapes.fields import Shape, bounded, decoder

Item = TypeVar("Item")


class Status(Shape):
    """v1 Status: an error of the API server itself; a proxy's error page has another shape."""

    kind: str
    reason: str = ""
    message: str = ""


class _GroupVersion(Shape):
    version: str


class ApiGroup(Shape):
    """The discovery of an API group (`/apis/<group>`): the versions that the cluster has."""

    versions: list[_GroupVersion] | None = None


class _AccessStatus(Shape):
    allowed: bool


class AccessReview(Shape):
    """A SelfSubjectAccessReview as the API server answers it."""

    status: _AccessStatus


class _ListMetadata(Shape):
    continue_token: str = field(default="", name="continue")


class Page(Shape, Generic[Item]):
    """One page of a list. Go writes an empty list as null; an answer without `items` is not a list."""

    items: list[Item] | None
    metadata: _ListMetadata


def page_decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a page of objects."""
    return decoder(Page[shape])


def record_of(shape: Any, manifest: Any) -> Any:
    """Return the record of an object that is already parsed, such as a manifest. Raises msgspec.ValidationError."""
    if isinstance(manifest, Mapping) and isinstance(manifest.get("metadata"), Mapping):
        # Who wrote a field is kept as raw JSON, which an object that is already parsed no longer has.
        metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
        manifest = {**manifest, "metadata": metadata}
    return msgspec.convert(manifest, shape, dec_hook=bounded).record()
