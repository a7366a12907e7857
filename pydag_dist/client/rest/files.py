"""The DAG files that `pydag web` shows, by REST: read, saved, edited, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pydag_dist.client.rest.service import Service
from pydag_dist.errors import ChangedMeanwhile, EngineError

if TYPE_CHECKING:
    from pydag_dist.dag.editing.edits import Edit

TURNS: Final = 10  # that an edit is made anew while others save


@dataclass(frozen=True)
class DagFile:
    """A file as it was when it was read or saved; a save of something newer needs its `etag`."""

    path: str
    text: str
    etag: str
    commit: str | None = None
    """The commit that the save made."""


class Files:
    """The files of the folder that the service shows."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> list[str]:
        """The paths of all DAG files, in lexical order."""
        return [each["path"] for each in self._service.get("files")["items"]]

    def read(self, path: str) -> DagFile:
        """A file; `EngineError` if there is none of that path."""
        found = self._service.get(_place(path))
        return DagFile(found["path"], found["text"], found["etag"])

    def save(
        self,
        path: str,
        text: str,
        *,
        etag: str = "",
        message: str = "",
        allow_problems: bool = False,
    ) -> DagFile:
        """Save a file that was read with that `etag`, or without one a new file.

        With a `message` it is committed, too. Raises `ChangedMeanwhile` if somebody has saved it
        since, or if a new one is there already, and `InvalidDag` for what has problems, unless
        these are allowed.
        """
        try:
            done = self._service.send(
                "PUT",
                _place(path),
                {"text": text, "message": message},
                query=[("allow_problems", "true")] if allow_problems else [],
                headers={"If-Match": f'"{etag}"'} if etag else {"If-None-Match": "*"},
            )
        except ChangedMeanwhile:
            # Perhaps by this very request, whose answer was lost.
            found = self._found(path)
            if found is None or found.text != text:
                raise
            return found
        if done["commit_problem"]:
            raise EngineError(f"{path} is saved, but not committed: {done['commit_problem']}")
        return DagFile(path, text, done["etag"], done["commit"])

    def edit(self, path: str, edits: Sequence[Edit], *, message: str = "") -> DagFile:
        """Make edits of `pydag_dist.dag.editing.edits` in a file, whoever else saves it meanwhile.

        Nothing else in its text changes. Raises `PydagError` for what can't be done.
        """
        from pydag_dist.dag.editing.changes import applied
        from pydag_dist.dag.editing.edits import edited

        for turn in range(TURNS):
            file = self.read(path)
            text = applied(file.text, edited(file.text, edits))
            try:
                return self.save(path, text, etag=file.etag, message=message)
            except ChangedMeanwhile:
                if turn == TURNS - 1:
                    raise
        raise AssertionError  # the last turn has an end

    def delete(self, path: str, etag: str, *, message: str = "") -> None:
        """Delete a file that was read with that `etag`; `ChangedMeanwhile` if it has changed."""
        query = [("message", message)] if message else []
        headers = {"If-Match": f'"{etag}"'}
        self._service.send("DELETE", _place(path), query=query, headers=headers, may_repeat=False)

    def _found(self, path: str) -> DagFile | None:
        try:
            return self.read(path)
        except EngineError:
            return None


def _place(path: str) -> str:
    return f"files/{quote(path)}"
