"""The git work tree that the folder is in: commits of single files, by git's plumbing.

Nothing that a repository configures is run: no hooks, filters, signing programs, pagers, fetches.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydag_dist.web.problems import Refusal

SECONDS: Final = 20.0  # of one call
TOLD: Final = 100  # newest commits of a file
_MOST: Final = 500  # characters of a subject or a name
_SAFE: Final = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.attributesFile=/dev/null",
    "commit.gpgSign=false", "log.showSignature=false", "core.pager=cat", "protocol.allow=never",
    "core.quotePath=false", "core.autocrlf=false",
)  # fmt: skip
_NAME: Final = re.compile(r"[^\w .@+-]+")


@dataclass(frozen=True)
class Commit:
    """One commit of a file; `at` in epoch seconds."""

    commit: str
    author: str
    at: float
    message: str


class WorkTree:
    """Asks git about the work tree of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def is_there(self) -> bool:
        """Whether the folder is in a work tree, and git is installed."""
        try:
            return self._git("rev-parse", "--is-inside-work-tree").strip() == b"true"
        except Refusal:
            return False

    def commits(self, path: str) -> list[Commit]:
        """The newest commits that changed a file, the newest first."""
        if not self._head():
            return []
        form = "%H%x00%an%x00%at%x00%s%x00"
        text = self._git(
            "--literal-pathspecs", "log", f"-n{TOLD}", f"--format={form}", "--no-ext-diff",
            "--no-textconv", "--no-show-signature", "--no-mailmap", "--", path,
        ).decode(errors="replace")  # fmt: skip
        cells = text.split("\0")[:-1]
        return [
            Commit(commit.strip(), author[:_MOST], float(at), message[:_MOST])
            for commit, author, at, message in zip(*[iter(cells)] * 4, strict=True)
        ]

    def content(self, path: str, commit: str) -> bytes | None:
        """A file as that commit has it; None if it has none."""
        try:
            return self._git("cat-file", "blob", f"{commit}:./{path}")
        except Refusal:
            return None

    def commit(self, path: str, content: bytes | None, who: str, message: str) -> str:
        """Commit a file with that content, or without it (None), and nothing else: the commit's id.

        What others have staged stays staged, and is not in the commit.
        """
        head = self._head()
        with tempfile.TemporaryDirectory(prefix="pydag-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if head:
                self._git("read-tree", head, env=index)
            entry = self._entry(path, content)
            self._git("update-index", "--index-info", given=entry, env=index)
            tree = self._git("write-tree", env=index).decode().strip()
        if head and tree == self._git("rev-parse", f"{head}^{{tree}}").decode().strip():
            return head  # nothing has changed
        name = _NAME.sub(" ", who).strip() or "pydag"
        people = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": name.replace(" ", "-") if "@" in name else f"{name}@pydag",
            "GIT_COMMITTER_NAME": "pydag web",
            "GIT_COMMITTER_EMAIL": "web@pydag",
        }
        parents = ["-p", head] if head else []
        made = self._git("commit-tree", tree, *parents, given=message.encode(), env=people)
        new = made.decode().strip()
        self._git("update-ref", "-m", "pydag web", "HEAD", new, head or "0" * len(new), env=people)
        # So that `git status` sees it as committed.
        self._git("update-index", "--index-info", given=entry)
        return new

    def _entry(self, path: str, content: bytes | None) -> bytes:
        before = self._git("rev-parse", "--show-prefix").rstrip(b"\n")
        mode, blob = b"0", b"0" * (len(self._head()) or 40)
        if content is not None:
            mode = b"100644"
            blob = self._git("hash-object", "-w", "--no-filters", "--stdin", given=content).strip()
        return mode + b" " + blob + b"\t" + before + path.encode() + b"\n"

    def _head(self) -> str:
        try:
            return self._git("rev-parse", "-q", "--verify", "HEAD^{commit}").decode().strip()
        except Refusal:
            return ""

    def _git(self, *arguments: str, given: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        safe = [part for setting in _SAFE for part in ("-c", setting)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        settings = {
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C",
        }  # fmt: skip
        try:
            done = subprocess.run(
                ["git", *safe, *arguments],
                cwd=self._root,
                input=given,
                capture_output=True,
                env={**kept, **settings, **(env or {})},
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise Refusal(409, "git is not installed here") from None
        except subprocess.TimeoutExpired:
            raise Refusal(503, f"git took more than {SECONDS:.0f} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise Refusal(409, f"git: {said[0][:_MOST] if said else 'failed'}")
        return done.stdout
