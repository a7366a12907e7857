"""What users install and deploy with: pinned versions, the compose file, the public names."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pydag_dist

PROJECT = Path(__file__).parents[3]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(package, extras, seen):
    """The packages that `package` with those extras needs here, and all that these need."""
    from packaging.requirements import Requirement

    for text in requires(package) or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            continue
        found = (canonical(requirement.name), frozenset(requirement.extras))
        if found not in seen:
            seen.add(found)
            needed(requirement.name, requirement.extras, seen)
    return {name for name, _ in seen}


def test_every_package_is_pinned():
    pinned = {
        canonical(line.partition("==")[0])
        for line in (PROJECT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    wanted = needed("pydag-dist", {"dev"}, set()) - {"pydag-dist"}
    assert len(wanted) > 50
    assert wanted <= pinned


def test_the_compose_file_fits_its_schema():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    file = PROJECT / "docker-compose.yaml"
    result = subprocess.run([*check, file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_public_names():
    names = ["Client", "Dag", "Fail", "InvalidDag", "LogLine", "Run", "Skip", "Task"]
    assert pydag_dist.__all__ == names
    for name in pydag_dist.__all__:
        assert getattr(pydag_dist, name).__name__ == name


def test_other_names_are_not_there():
    assert not hasattr(pydag_dist, "Scheduler")
