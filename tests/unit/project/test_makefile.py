"""Who waits for an installation sees what it does; a log of CI has no bars in it."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.documents import ROOT


@pytest.mark.parametrize("target", ["demo", "test"])
def test_pip_is_quiet_only_where_nobody_looks(target, tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ["make", "--dry-run", target]
    terminal, end = os.openpty()
    seen, unseen = (
        subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True
        ).stdout
        for stderr in (end, subprocess.PIPE)
    )
    os.close(terminal)
    os.close(end)
    shown, quiet = (
        [line.split() for line in text.splitlines() if " pip " in line] for text in (seen, unseen)
    )
    assert shown == [[word for word in line if word != "--quiet"] for line in quiet]
    assert len(quiet) == 2, "pip itself, and the package"
    assert all("--quiet" in line for line in quiet)
