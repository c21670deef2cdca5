"""What every shape is made of: texts with a maximum length, times that can be calculated with, and metadata."""

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Any

import msgspec

from provider.model import lengths

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a zone; one without is refused, since it could be any of a day's hours."""

Replicas = Annotated[int, msgspec.Meta(ge=0, le=150_000)]
"""The maximum is the number of pods that a cluster may hold (kubernetes.io, Considerations for large clusters)."""

Name = Annotated[str, msgspec.Meta(max_length=lengths.NAME)]
Label = Annotated[str, msgspec.Meta(max_length=lengths.LABEL)]
LabelKey = Annotated[str, msgspec.Meta(max_length=lengths.LABEL_KEY)]
"""Lengths that the API server enforces: anything longer is refused."""

MAX_ENTRIES = 500
"""Of a list or map that decides and that the API does not limit. A longer one is refused, never cut."""

MAX_SHOWN = 100
"""Of a list that is only shown."""

Labels = Annotated[dict[LabelKey, Label], msgspec.Meta(max_length=MAX_ENTRIES)]

_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""Outside of these years, adding minutes or a zone to a time leaves Python's calendar."""


class Text(str):
    """A text that is only shown, or compared with a word: a longer one is cut."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Text":
        """Return the text, cut to its maximum length."""
        return cls(lengths.cut(text))


class Reference(Text):
    """A name in a custom resource or a status, whose length no API checks."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Reference":
        """Return the name; one that is too long for any object becomes another that no object has."""
        return cls(lengths.reference(text, lengths.NAME))


class Arn(Reference):
    """An ARN in a custom resource."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Arn":
        """Return the ARN; one that is too long for AWS becomes another that AWS does not have."""
        return cls(lengths.reference(text, lengths.ARN))


def bounded(kind: type[Text], value: object) -> Text:
    """Decode a text of these shapes (msgspec's `dec_hook`)."""
    if not isinstance(value, str):
        raise TypeError("Expected `str`")
    return kind.bounded(value)


decoder: Callable[[Any], msgspec.json.Decoder[Any]] = cache(partial(msgspec.json.Decoder, dec_hook=bounded))
"""Return the decoder of a shape, made once: msgspec inspects the types each time."""

NO_TEXT, NO_ARN = Reference(), Arn()


class Shape(msgspec.Struct, rename="camel"):
    """A part of an API object: camelCase on the wire, unknown fields skipped."""


class Owner(Shape):
    """One of `metadata.ownerReferences`."""

    uid: Name
    controller: bool | None = None


class Metadata(Shape):
    """What tells one object from another."""

    name: Name
    namespace: Name = ""
    uid: Name = ""
    generation: int = 0
    owner_references: list[Owner] | None = None
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None

    @property
    def required_creation(self) -> datetime:
        """When the object was created. Raises ValidationError if that is not a usable time."""
        return usable_time(self.creation_timestamp, self.name)

    @property
    def required_uid(self) -> str:
        """The object's uid. Raises ValidationError without one."""
        if not self.uid:
            raise msgspec.ValidationError(f"{self.name} has no uid")
        return self.uid

    @property
    def owner_uid(self) -> str:
        """The uid of the controller owner, empty without one."""
        for owner in self.owner_references or ():
            if owner.controller:
                return owner.uid
        return ""


class LabeledMetadata(Metadata):
    """Metadata with its labels."""

    labels: Labels | None = None


class Condition(Shape):
    """One of `status.conditions`."""

    type: str
    status: str
    reason: Text = NO_TEXT
    message: Text = NO_TEXT
    last_transition_time: Moment | None = None

    @property
    def is_true(self) -> bool:
        """Whether it holds."""
        return self.status == "True"


def usable_time(moment: datetime | None, name: str) -> datetime:
    """Return a time that decides something. Raises ValidationError if it is absent or cannot be calculated with."""
    if moment is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise msgspec.ValidationError(f"{name} has no usable time: {moment}")
    return moment
