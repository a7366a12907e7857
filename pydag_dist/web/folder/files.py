"""What `pydag web` does with the files of its folder: read, save, delete, merge, tell what was."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydag_dist.web.folder.folder import Folder, etag_of
from pydag_dist.web.folder.git import WorkTree
from pydag_dist.web.folder.journal import Journal
from pydag_dist.web.problems import Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Condition:
    """What must be there for a change: a file with one of these ETags, or (`is_new`) none."""

    etags: frozenset[str] = frozenset()
    is_new: bool = False

    def check(self, content: bytes | None) -> None:
        """Refuse what somebody else has changed meanwhile."""
        if self.is_new:
            if content is not None:
                raise Refusal(412, "there is a file of that name: read it, and send If-Match")
        elif not self.etags:
            raise Refusal(
                428,
                "send If-Match with the ETag of the file as you know it, or If-None-Match: * for "
                "a new one",
            )
        elif content is None:
            raise Refusal(412, "the file is not there any more")
        elif etag_of(content) not in self.etags and "*" not in self.etags:
            raise Refusal(412, "somebody has changed the file since you read it: merge")


@dataclass(frozen=True)
class Who:
    """Who changes a file, and the message of a commit; "": don't commit."""

    name: str
    message: str = ""


class Files:
    """The files of a folder."""

    def __init__(self, root: Path, journal: Path) -> None:
        self.folder, self._journal, self.tree = Folder(root), Journal(journal), WorkTree(root)

    def read(self, path: str) -> bytes:
        """A file's content; 404 if it is not there."""
        content = self.folder.read(path)
        if content is None:
            raise Refusal(404, f"there is no file {path}")
        return content

    def save(
        self, path: str, content: bytes | None, condition: Condition, who: Who, problems: int = 0
    ) -> dict[str, Any]:
        """Save a file with that content, or delete it (None); commit it if there is a message.

        `commit` is the commit's id; if it could not be made, `commit_problem` says why: the file is
        saved all the same.
        """
        if who.message and not self.tree.is_there:
            raise Refusal(409, "the folder is in no git work tree: save without a message")
        with self.folder.changing():
            before = self.folder.read(path)
            condition.check(before)
            facts = {
                "by": who.name,
                "before": etag_of(before) if before is not None else None,
                "after": etag_of(content) if content is not None else None,
                "problems": problems,
            }
            self._journal.add(path, kind="delete" if content is None else "save", **facts)
            try:
                if content is None:
                    self.folder.delete(path)
                else:
                    self.folder.write(path, content)
            except (OSError, Refusal):
                self._journal.add(path, kind="failed", **facts)
                raise
            log.info("%s: %s by %s", path, "deleted" if content is None else "saved", who.name)
            commit, problem = self._commit(path, content, who)
        return {"is_new": before is None, "commit": commit, "commit_problem": problem}

    def _commit(self, path: str, content: bytes | None, who: Who) -> tuple[str | None, str | None]:
        if not who.message:
            return None, None
        try:
            return self.tree.commit(path, content, who.name, who.message), None
        except Refusal as error:
            return None, str(error)

    def history(self, path: str) -> dict[str, Any]:
        """Who saved a file, and its commits, each the newest first."""
        is_git = self.tree.is_there
        commits = [asdict(each) for each in self.tree.commits(path)] if is_git else []
        return {"saves": self._journal.of(path), "is_git": is_git, "commits": commits}
