"""What the params of operators are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pydag_dist.dag import patterns

Filled = Annotated[str, StringConstraints(pattern=patterns.FILLED)]
GcsUri = Annotated[str, StringConstraints(pattern=patterns.GCS_URI)]
Table = Annotated[str, StringConstraints(pattern=patterns.TABLE)]
Dataset = Annotated[str, StringConstraints(pattern=patterns.DATASET)]
ClusterName = Annotated[str, StringConstraints(pattern=patterns.CLUSTER)]


class Params(BaseModel):
    """Params of an operator: exactly these, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GoogleParams(Params):
    """What every task in Google Cloud may say."""

    connection: Filled | None = Field(None, description="a connection of the worker's settings")
    project: Filled | None = Field(None, description="default: the connection's")
    labels: dict[str, str] = Field({}, description="put on the remote job or cluster")
