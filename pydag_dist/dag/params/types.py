"""The types of which the params of operators are made."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from pydag_dist.dag.text import patterns


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


# In a file a text: 2026-01-31T06:00:00Z.
Moment = Annotated[AwareDatetime, Field(strict=False)]
Filled = Annotated[str, StringConstraints(pattern=patterns.FILLED)]
Sql = Annotated[Filled, Field(json_schema_extra={"contentMediaType": "application/sql"})]
GcsUri = Annotated[str, StringConstraints(pattern=patterns.GCS_URI)]
MainUri = Annotated[str, StringConstraints(pattern=patterns.MAIN_URI)]
GcsPlace = Annotated[str, StringConstraints(pattern=patterns.BUCKET_OR_MORE)]
ObjectUri = Annotated[str, StringConstraints(pattern=patterns.OBJECT)]
FolderUri = Annotated[str, StringConstraints(pattern=patterns.FOLDER)]
FilesUri = Annotated[str, StringConstraints(pattern=patterns.ONE_STAR)]
KmsKey = Annotated[str, StringConstraints(pattern=patterns.KMS_KEY)]
Project = Annotated[str, StringConstraints(pattern=patterns.PROJECT)]
Region = Annotated[str, StringConstraints(pattern=patterns.REGION)]
Location = Annotated[str, StringConstraints(pattern=patterns.LOCATION)]
Table = Annotated[str, StringConstraints(pattern=patterns.TABLE)]
PartOrTable = Annotated[str, StringConstraints(pattern=patterns.TABLE_OR_PARTITION)]
DayText = Annotated[str, StringConstraints(pattern=patterns.DAY), AfterValidator(_day)]
Partition = Annotated[str, StringConstraints(pattern=patterns.PARTITION)]
Dataset = Annotated[str, StringConstraints(pattern=patterns.DATASET)]
TemplateId = Annotated[str, StringConstraints(pattern=patterns.WORKFLOW_TEMPLATE)]
TemplateParameter = Annotated[str, StringConstraints(pattern=patterns.WORKFLOW_PARAMETER)]
ClusterName = Annotated[str, StringConstraints(pattern=patterns.CLUSTER)]


_OURS = frozenset({"pydag-dag", "pydag-run", "pydag-task", "pydag-try"})


def _not_ours(key: str) -> str:
    if key in _OURS:
        raise ValueError("is set by pydag_dist itself: give your label another name")
    return key


LabelKey = Annotated[str, StringConstraints(pattern=patterns.LABEL_KEY), AfterValidator(_not_ours)]
LabelValue = Annotated[str, StringConstraints(pattern=patterns.LABEL_VALUE)]
# Dataproc takes 32, of which four are ours.
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=28)]


class Params(BaseModel):
    """Params of an operator: exactly these, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GoogleParams(Params):
    """The params that all operators in Google Cloud have."""

    connection: Filled | None = Field(None, description="a connection of the worker's settings")
    project: Project | None = Field(None, description="default: the connection's")
    labels: Labels = Field({}, description="put on the remote job or cluster")
