"""What the emulators import is what `pip install 'pydag-dist[local]'` installs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).parents[3]
# Distributions that those of the extra always bring along, of the same makers.
BROUGHT_ALONG = {
    "google-api-core", "google-auth", "google-crc32c", "googleapis-common-protos",
    "grpcio", "protobuf", "requests",
}  # fmt: skip


def named(requirements):
    return {re.match(r"[\w.-]+", each)[0].lower().replace("_", "-") for each in requirements}


def imported(folder):
    """The names of all top-level packages that the files below import."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def distribution_of(name, known):
    """google.cloud.bigquery is of another distribution than google.cloud.storage."""
    if name.startswith("google."):
        parts = name.split(".")
        return {
            "cloud": f"google-cloud-{parts[2].partition('_')[0]}" if len(parts) > 2 else "",
            "api_core": "google-api-core",
            "auth": "google-auth",
            "longrunning": "googleapis-common-protos",
            "protobuf": "protobuf",
        }[parts[1]]
    return known[name.partition(".")[0]][0].lower().replace("_", "-")


def test_the_extra_installs_what_the_emulators_import():
    known = packages_distributions()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # An extra that names our own extras, such as pydag-dist[worker,flower], has theirs, too.
    local = named(extras["local"]) | named(extras["worker"])
    for name in imported(PROJECT / "pydag_emulators"):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "pydag_emulators":
            continue
        assert distribution_of(name, known) in local | BROUGHT_ALONG, name
