"""The head of each operation in Lua, and the table of keys: they say what the engine does."""

from __future__ import annotations

import re
from typing import Any

import fakeredis
import pytest

from pydag_dist.engine.script import PARTS, Script, source
from tests.model.bad_arguments import ARGUMENTS, Scene
from tests.support.heads import heads
from tests.support.states import ROOT, TABLE
from tests.support.written import NOTED, noting, patterns, table_name, written

LUA = ROOT / "pydag_dist" / "engine" / "lua"
HEADS = heads()


def test_each_operation_has_a_head_and_arguments() -> None:
    defined = {line.split("(")[0] for line in source().split("function OPERATIONS.")[1:]}
    assert set(HEADS) == set(ARGUMENTS) == defined
    assert all(head.answers for head in HEADS.values())


@pytest.mark.parametrize("operation", sorted(ARGUMENTS))
def test_a_head_names_the_arguments_that_are_checked(operation: str) -> None:
    checked = source().partition("\nSIGNATURES = {\n")[2].partition("\n}\n")[0]
    found = re.search(rf"^  {operation} = (.*?)(?=^  \w+ = |\Z)", checked, re.MULTILINE | re.DOTALL)
    assert found
    signature, _, _ = found[1].partition("aside =")
    fixed, _, each = signature.partition("each =")
    names, of_each = (re.findall(r"\{ '\w+', '(\w+)' \}", part) for part in (fixed, each))
    assert HEADS[operation].given == names
    assert HEADS[operation].each == of_each
    assert HEADS[operation].with_fields is ("head = true" in found[1])


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    script = Script(client, noting(source()))
    monkeypatch.setattr("pydag_dist.engine.store.Script", lambda _: script)
    return Scene(client)


@pytest.mark.parametrize("operation", sorted(ARGUMENTS))
def test_an_operation_writes_what_its_head_says(scene: Scene, operation: str) -> None:
    """And the arguments that are fine are: no call is refused but for the one that is wrong."""
    scene.engine.store.call(operation, *scene.good(operation))
    strange = [(name, key) for name, key in written(scene.client) if not HEADS[name].writes(key)]
    assert strange == []
    assert [k for k in scene.client.scan_iter() if k != NOTED and not table_name(k)] == []


def test_a_key_that_the_table_lacks_is_found() -> None:
    assert table_name("p:run:r:tasks") == "run:ID:tasks"
    assert table_name("p:run:r") == "run:ID"
    assert table_name("p:q:@w@host") == "q:@WORKER"
    assert table_name("p:fair:python!module:a") == "fair:QUEUE"
    assert table_name("p:run:r:more") == table_name("p:more") == ""
    assert not HEADS["claim"].writes("run:ID:plan")


def test_heads_name_keys_of_the_table() -> None:
    named = {key for head in HEADS.values() for key in head.keys}
    assert named <= {*patterns(), "run:ID:*"}


@pytest.mark.parametrize("part", PARTS)
def test_the_table_has_every_key_that_the_source_names(part: str) -> None:
    """Also those that no test writes."""
    text = (LUA / f"{part}.lua").read_text(encoding="utf-8")
    known = {re.sub(r"[A-Z@].*", "", name) for name in patterns()}
    for name in re.findall(r"\bkey\('([^']+)'", text):
        assert name in known, f"{TABLE.name} has no key {name}"
