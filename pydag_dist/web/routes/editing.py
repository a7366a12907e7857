"""Edits of DAG files' texts, which change nothing else in them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body
from starlette.responses import Response

from pydag_dist.dag.editing.changes import Change, inverse
from pydag_dist.dag.editing.edits import edited
from pydag_dist.web.models import editing as models
from pydag_dist.web.routes.checking import EDITOR
from pydag_dist.web.routing import answer, router

routes = router()


@routes.post("/edit", response_model=models.Edited, openapi_extra=EDITOR)
def edit(body: Annotated[models.Edits, Body()]) -> Response:
    """Edit a DAG file's text: what to replace in it, and what to replace to undo that."""
    changes = edited(body.text, body.edits)
    return answer({"changes": _told(changes), "undo": _told(inverse(body.text, changes))})


def _told(changes: list[Change]) -> list[dict[str, Any]]:
    return [change._asdict() for change in changes]
