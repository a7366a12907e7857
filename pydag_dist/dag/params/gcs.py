"""The params of Cloud Storage's operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from pydag_dist.dag.params.types import (
    Filled,
    FolderUri,
    GcsPlace,
    GcsUri,
    Moment,
    ObjectUri,
    Params,
)
from pydag_dist.dag.text import patterns

MOST_QUIET: Final = 7 * 86400.0  # seconds


class GcsParams(Params):
    """The params that all operators of Cloud Storage have."""

    connection: Filled | None = Field(None, description="a connection of the worker's settings")


class TimesParams(GcsParams):
    """Which objects of several, by the time at which they were written."""

    newer_than: Moment | None = Field(
        None, description="of a folder, objects written after this moment: 2026-01-31T06:00:00Z"
    )
    older_than: Moment | None = Field(
        None, description="of a folder, objects written at this moment or before"
    )

    def are_wanted(self, written: datetime) -> bool:
        """Whether objects that were written then are meant."""
        after = self.newer_than is None or written > self.newer_than
        return after and (self.older_than is None or written <= self.older_than)


class TransferParams(TimesParams):
    """What ``gcs.copy`` and ``gcs.move`` take: one object, or all objects below a folder."""

    source: GcsPlace = Field(description="an object; with a / at its end all objects below")
    destination: GcsPlace = Field(description="an object; with a / at its end a folder")
    match: Filled | None = Field(None, description="which objects below the source, as a glob")
    overwrite: bool = Field(True, description="an object of that name with another content")
    allow_empty: bool = Field(False, description="no object below the source is fine")

    @model_validator(mode="after")
    def _folders(self) -> Self:
        if self.source.endswith("/"):
            if not self.destination.endswith("/"):
                raise ValueError(
                    "the objects below a folder need a destination with a / at its end"
                )
        elif given := [
            name for name in ("match", "allow_empty", "newer_than", "older_than")
            if getattr(self, name)
        ]:  # fmt: skip
            raise ValueError(f"{', '.join(given)}: only for a source with a / at its end")
        return self


class GcsCopy(TransferParams):
    """``gcs.copy``: one object, or all objects below a folder."""


class GcsMove(TransferParams):
    """``gcs.move``: one object, or all objects below a folder: copied, and deleted where it was."""

    source: GcsUri = Field(description="an object; with a / at its end all objects below")

    @model_validator(mode="after")
    def _elsewhere(self) -> Self:
        if self.source == self.destination:
            raise ValueError('"source" and "destination" are the same')
        return self


class GcsUpload(GcsParams):
    """``gcs.upload``: files of the worker's host, or a text, into objects."""

    source: Annotated[str, StringConstraints(pattern=patterns.HOST_PATH)] | None = Field(
        None, description="a file of the worker's host; with a / at its end all files below"
    )
    text: str | None = Field(None, description="the content of one object")
    destination: GcsPlace = Field(description="an object; with a / at its end a folder")
    content_type: Filled | None = Field(None, description="default: by the name of the object")
    overwrite: bool = Field(True, description="an object of that name with another content")

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.source is None) == (self.text is None):
            raise ValueError('give "source" or "text"')
        into_folder = self.destination.endswith("/")
        if self.text is not None and into_folder:
            raise ValueError("a text needs an object as its destination: no / at its end")
        if self.source and self.source.endswith("/") and not into_folder:
            raise ValueError("the files below a folder need a destination with a / at its end")
        return self


class GcsDelete(TimesParams):
    """``gcs.delete``: delete objects, and all objects below folders; some may be gone already."""

    uris: list[ObjectUri] = Field([], description="of objects, one each")
    folders: list[FolderUri] = Field([], description="all objects below them, now and newer ones")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.uris or self.folders):
            raise ValueError('give "uris", "folders" or both')
        if not self.folders and (self.newer_than or self.older_than):
            raise ValueError('"newer_than" and "older_than" are for "folders"')
        return self


class GcsCompose(GcsParams):
    """``gcs.compose``: concatenate objects of a bucket into one of the same bucket."""

    sources: list[GcsUri] = Field(
        min_length=1, description="in this order; with a / at its end all objects below, by name"
    )
    destination: GcsUri
    content_type: Filled | None = Field(None, description="default: that of the first source")

    @model_validator(mode="after")
    def _one_bucket(self) -> Self:
        buckets = {uri.split("/")[2] for uri in (*self.sources, self.destination)}
        if len(buckets) > 1:
            raise ValueError(
                f"all objects must be in one bucket, not in {', '.join(sorted(buckets))}"
            )
        if self.destination.endswith("/"):
            raise ValueError("the destination is one object: no / at its end")
        return self


class GcsWaitObject(GcsParams):
    """``gcs.wait_object``: wait until objects are there, and new; or until none is there."""

    object: ObjectUri | None = Field(None, description="this very object")
    prefix: GcsPlace | None = Field(None, description="objects whose names begin so")
    glob: ObjectUri | None = Field(None, description="objects with such names: * ? ** [ab] {a,b}")
    newer_than: Moment | None = Field(
        None, description="written after this moment: 2026-01-31T06:00:00Z"
    )
    min_objects: int = Field(1, ge=1, description="so many, of a prefix or glob")
    quiet_for: float | None = Field(
        None, gt=0, le=MOST_QUIET, description="seconds in which none of them was written"
    )
    absent: bool = Field(False, description="wait until there is no such object")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(uri is not None for uri in (self.object, self.prefix, self.glob)) != 1:
            raise ValueError('give one of "object", "prefix" and "glob"')
        if self.object and self.min_objects > 1:
            raise ValueError('"min_objects" is for a prefix or glob')
        if self.absent and (self.newer_than or self.quiet_for or self.min_objects > 1):
            raise ValueError('"absent" goes without newer_than, quiet_for and min_objects')
        return self
