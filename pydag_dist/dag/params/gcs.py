"""The params of Cloud Storage's operators."""

from __future__ import annotations

from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from pydag_dist.dag.params.types import Filled, FolderUri, GcsUri, ObjectUri, Params


class GcsParams(Params):
    """The params that all operators of Cloud Storage have."""

    connection: Filled | None = Field(None, description="a connection of the worker's settings")


class GcsCopy(GcsParams):
    """``gcs.copy``: one object, or all objects below a folder."""

    source: GcsUri = Field(description="an object; with a / at its end all objects below")
    destination: GcsUri = Field(description="an object; with a / at its end a folder")
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
        elif self.match:
            raise ValueError('"match" is for a source with a / at its end')
        elif self.allow_empty:
            raise ValueError('"allow_empty" is for a source with a / at its end')
        return self


class GcsDelete(GcsParams):
    """``gcs.delete``: delete objects, and all objects below folders; some may be gone already."""

    uris: list[ObjectUri] = Field([], description="of objects, one each")
    folders: list[FolderUri] = Field([], description="all objects below them, now and newer ones")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.uris or self.folders):
            raise ValueError('give "uris", "folders" or both')
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
    """``gcs.wait_object``: wait until objects are there, and new."""

    object: ObjectUri | None = Field(None, description="this very object")
    prefix: GcsUri | None = Field(None, description="objects whose names begin so")
    glob: ObjectUri | None = Field(None, description="objects with such names: * ? ** [ab] {a,b}")
    newer_than: AwareDatetime | None = Field(
        None, description="written after this moment: 2026-01-31T06:00:00Z", strict=False
    )
    min_objects: int = Field(1, ge=1, description="so many, of a prefix or glob")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(uri is not None for uri in (self.object, self.prefix, self.glob)) != 1:
            raise ValueError('give one of "object", "prefix" and "glob"')
        if self.object and self.min_objects > 1:
            raise ValueError('"min_objects" is for a prefix or glob')
        return self
