"""The DAG files of a folder: read, saved, merged, and committed where it is a git work tree."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from pydantic import StringConstraints
from starlette.responses import Response

from pydag_dist.dag import Dag, limits
from pydag_dist.dag.editing.merging import merged
from pydag_dist.dag.text import patterns
from pydag_dist.errors import InvalidDag
from pydag_dist.web.folder.files import Condition, Files, Who
from pydag_dist.web.folder.folder import etag_of
from pydag_dist.web.models import files as models
from pydag_dist.web.problems import Refusal
from pydag_dist.web.routes.checking import placed_problems
from pydag_dist.web.routing import EDITOR, VIEWER, answer, needs, router, site

Path = Annotated[str, StringConstraints(max_length=1100)]
Tags = Annotated[str, StringConstraints(max_length=1000)]
AllowProblems = Annotated[bool, Query(description="save it though it is no DAG without problems")]
Message = Annotated[str, Query(max_length=5000, description="of a commit; without: none is made")]

_FILE: Final = "/files/{path:path}"

routes = router()


def _files(request: Request) -> Files:
    found = site(request).files
    if found is None:
        raise Refusal(404, "no folder of files is shown here: start pydag web --files DIR")
    return found


@routes.get("/files", response_model=models.FileList, openapi_extra=VIEWER)
def list_files(request: Request) -> Response:
    """List the DAG files of the folder."""
    files = _files(request)
    items = [asdict(entry) for entry in files.folder.files()]
    return answer({"items": items, "is_git": files.tree.is_there})


@routes.get(f"{_FILE}/history", response_model=models.FileHistory, openapi_extra=VIEWER)
def history(request: Request, path: Path) -> Response:
    """Say who saved a file, and which commits changed it."""
    files = _files(request)
    files.folder.read(path)  # refuses what is no path; a file that was deleted has a history, too
    return answer(files.history(path))


@routes.get(f"{_FILE}/history/{{commit}}", response_model=models.File, openapi_extra=VIEWER)
def past(
    request: Request, path: Path, commit: Annotated[str, StringConstraints(pattern=patterns.COMMIT)]
) -> Response:
    """Read a file as a commit has it."""
    files = _files(request)
    files.folder.read(path)
    content = files.tree.content(path, commit)
    if content is None:
        raise Refusal(404, f"{commit} has no file {path}")
    return _file(path, content)


@routes.post(f"{_FILE}/merge", response_model=models.Merged, openapi_extra=EDITOR)
def merge(request: Request, path: Path, body: models.Merge) -> Response:
    """Merge a text that was made of an older state of the file with what the file is now.

    What differs is compared by task and by field; where both have changed the same field, both
    values are told. Nothing is saved.
    """
    content = _files(request).read(path)
    choices = {(each.task, each.field): each.side for each in body.choices}
    theirs = _text(path, content)
    text, conflicts = merged(body.base, body.text, theirs, body.prefer, choices)
    found = [asdict(conflict) for conflict in conflicts]
    return answer({"text": text, "etag": etag_of(content), "conflicts": found})


@routes.get(_FILE, response_model=models.File, openapi_extra=VIEWER)
def read(request: Request, path: Path) -> Response:
    """Read a file."""
    return _file(path, _files(request).read(path))


@routes.put(_FILE, response_model=models.Saved, openapi_extra=EDITOR,
            responses={201: {"model": models.Saved}})  # fmt: skip
def save(
    request: Request,
    path: Path,
    body: models.Save,
    *,
    allow_problems: AllowProblems = False,
    if_match: Annotated[Tags, Header()] = "",
    if_none_match: Annotated[Tags, Header()] = "",
) -> Response:
    """Save a file, and commit it if there is a message; nothing is published by that."""
    files, who = _files(request), needs(request, "editor").name
    content = _bytes(body.text)
    problems = _problems(body.text)
    if problems and not allow_problems:
        raise Refusal(
            422,
            f"it has {len(problems)} problems, and is saved only with ?allow_problems=true",
            kind="invalid-dag",
            errors=[{k: p[k] for k in ("pointer", "task", "field", "detail")} for p in problems],
        )
    condition = _condition(if_match, if_none_match)
    done = files.save(path, content, condition, Who(who, body.message), len(problems))
    status = 201 if done.pop("is_new") else 200
    etag = etag_of(content)
    return answer(
        {"path": path, "etag": etag, "problems": problems, **done}, status, ETag=f'"{etag}"'
    )


@routes.delete(_FILE, status_code=204, openapi_extra=EDITOR)
def delete(
    request: Request, path: Path, message: Message = "", if_match: Annotated[Tags, Header()] = ""
) -> Response:
    """Delete a file, and commit that if there is a message."""
    files, who = _files(request), needs(request, "editor").name
    files.read(path)
    files.save(path, None, _condition(if_match, ""), Who(who, message))
    return Response(None, 204)


def _condition(if_match: str, if_none_match: str) -> Condition:
    tags = frozenset(tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(","))
    return Condition(tags - {""}, is_new=if_none_match.strip() == "*" and not tags - {""})


def _problems(text: str) -> list[dict[str, Any]]:
    try:
        Dag.parse(text, source="file")
    except InvalidDag as error:
        return placed_problems(text, error.problems)
    return []


def _bytes(text: str) -> bytes:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise Refusal(422, "the text has half a character") from None
    if len(content) > limits.DAG_BYTES:
        raise Refusal(413, f"a DAG has at most {limits.DAG_BYTES:,} bytes")
    return content


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Refusal(409, f"{path} is not UTF-8: byte {error.start}") from None


def _file(path: str, content: bytes) -> Response:
    etag = etag_of(content)
    shown = {"path": path, "text": _text(path, content), "etag": etag}
    return answer(shown, ETag=f'"{etag}"')
