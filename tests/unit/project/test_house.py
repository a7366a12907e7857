"""The tree of files as a whole: no circles, no crowded folders, and documents that know it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import grimp
import pytest

from pydag_dist.dag.graph import cycles
from pydag_dist.engine.script import source
from tests.support.documents import PAGES, ROOT

PACKAGES = ("pydag_dist", "workers", "pydag_emulators")
MOST_FILES = 12  # of a folder, beside its __init__
NAMED = re.compile(r"`((?:\w+/)+\w+(?:\.\w+)*\.(?:py|lua|sql|json|toml))`")
KEY_ROW = re.compile(r"^--   ([a-z]\S*) +(?:string|hash|zset|set|list|stream)  ", re.MULTILINE)
# What pages call a file by: its path from the root, or from its package.
BASES = (ROOT, ROOT / "pydag_dist", ROOT / "docs")


def test_no_files_need_each_other_in_a_circle():
    graph = grimp.build_graph(*PACKAGES, include_external_packages=False, cache_dir=None)
    found = {name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    assert [" -> ".join([*circle, circle[0]]) for circle in cycles(found)] == []


def test_no_folder_is_crowded():
    files = [
        file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.*")
        if file.suffix in (".py", ".lua") and file.name != "__init__.py"
    ]
    sizes = Counter(str(file.parent.relative_to(ROOT)) for file in files)
    assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    names = [
        name
        for name in NAMED.findall(page.read_text())
        if any((base / name.partition("/")[0]).is_dir() for base in BASES)
    ]
    assert [name for name in names if not any((base / name).is_file() for base in BASES)] == []


def test_no_file_names_the_host_of_a_registry():
    hosts = (
        "pypi." + "org",
        "files.python" + "hosted",
        "npm" + "js",
        "docker" + ".io",
        "gcr" + ".io",
    )
    listed = subprocess.run(
        ["git", "grep", "-lIE", "|".join(map(re.escape, hosts))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert listed.returncode in (0, 1)
    assert listed.stdout.split() == []


def test_every_key_is_in_the_engines_table():
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.*")]
    code = "".join(file.read_text() for file in files if file.suffix in (".py", ".lua"))
    # By what stands before the first id in it.
    known = {re.split(r"[A-Z]", name)[0] for name in KEY_ROW.findall(source())}
    made = set(re.findall(r"""(?:\bkey\(f?["']|key_prefix\}:)([a-z][\w:-]*)(?=["'{])""", code))
    assert {"leases", "dag:", "estimate:", "budget:"} <= made
    assert made - known == set()
    of_runs = set(re.findall(r"""run_key\(\w+, ["'](\w+)["']\)""", code))
    assert "plan" in of_runs
    assert {f"run:ID:{name}" for name in of_runs} - {*KEY_ROW.findall(source())} == set()
