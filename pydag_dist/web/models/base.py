"""What all answers have in common: OpenAPI is made of these models.

Times are epoch seconds, by Redis's clock. Routes that are asked often answer with bytes that were
made without them; a test holds these bytes against them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(description="epoch seconds")]
Missing = Annotated[
    str | None, Field(description="why the history can't say what it has of it, if it can't")
]


class Model(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class ProblemItem(Model):
    """One thing that is wrong in a request: in which place of its body, task and field."""

    pointer: str | None = None
    task: str | None = None
    field: str | None = None
    detail: str


class ProblemDetails(Model):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemItem] = []
