"""What the public packages export: all of it is there, is meant, and is what documents name."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import types

import pytest

import pydag_dist
import workers
from tests.support.documents import PAGES, ROOT

PACKAGES = sorted(
    {
        name
        for root in (pydag_dist, workers)
        for _, name, is_package in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
        if is_package and "__all__" in (ROOT / name.replace(".", "/") / "__init__.py").read_text()
    }
    | {"pydag_dist"}
)
IMPORT = re.compile(
    r"^ *from ((?:pydag_dist|workers)[\w.]*) import (\([^)]*\)|[^\n]+)", re.MULTILINE
)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_that_is_exported_is_there_and_all_that_is_imported_is_exported(package):
    module = importlib.import_module(package)
    exported = set(module.__all__)
    assert [name for name in exported if not hasattr(module, name)] == []
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(package)
        for alias in node.names
    }
    if package != "pydag_dist.cli":  # which imports its commands to add them
        assert imported <= exported


def test_the_top_package_exports_what_it_has_homes_for():
    assert set(pydag_dist.__all__) == set(pydag_dist._HOMES)
    for name, home in pydag_dist._HOMES.items():
        assert name in importlib.import_module(home).__dict__, home
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = pydag_dist.Nothing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_import_what_is_exported(page):
    for module_name, names in IMPORT.findall(page.read_text()):
        module = importlib.import_module(module_name)
        for name in re.findall(r"\w+", names.split("#")[0]):
            assert hasattr(module, name), f"{module_name}.{name}"
            if hasattr(module, "__all__"):
                assert name in module.__all__, f"{module_name}.{name}"
            else:
                assert not isinstance(getattr(module, name), types.ModuleType)
