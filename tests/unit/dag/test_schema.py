from __future__ import annotations

import json
from pathlib import Path

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from hypothesis import given
from jsonschema import Draft202012Validator

from pydag_dist.dag import Dag, schema
from tests.unit.dag.strategies import dags

HERE = Path(__file__).parent
VALIDATOR = Draft202012Validator(schema())

# What a schema can't see: relations between tasks, the text within texts, what JSON readers drop.
BEYOND_A_SCHEMA = {
    "branch_to_nowhere",
    "teardowns",
    "connection_reference",
    "cycle",
    "duplicate_ids",
    "duplicate_keys",
    "delays",
    "many_queues",
    "nested_too_deeply",
    "not_a_number",
    "schedule_no_such_day",
    "schedule_not_between",
    "self_dependency",
    "two_cycles",
    "unknown_dependency",
}
NOT_JSON = {"empty_file", "nested_far_too_deeply", "not_utf8"}


READABLE = [
    path
    for path in sorted((HERE / "bad").glob("*.json"))
    if path.stem not in NOT_JSON and not path.stem.startswith("not_json")
]


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.json")), ids=lambda path: path.stem)
def test_good_files_have_the_schemas_form(path):
    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.stem)
def test_most_bad_files_do_not_have_the_schemas_form(path):
    valid = VALIDATOR.is_valid(json.loads(path.read_text(encoding="utf-8")))

    assert valid == (path.stem in BEYOND_A_SCHEMA)


@given(dags())
def test_random_dags_have_the_schemas_form(raw):
    VALIDATOR.validate(raw)
    VALIDATOR.validate(Dag.parse(raw).to_dict())


def test_the_command_line_validator_agrees(tmp_path):
    file = tmp_path / "dag.schema.json"
    file.write_text(json.dumps(schema()), encoding="utf-8")

    def check(*files):
        return CliRunner().invoke(check_jsonschema, ["--schemafile", *map(str, [file, *files])])

    assert check(*(HERE / "good").glob("*.json")).exit_code == 0
    assert check(HERE / "bad" / "everything_at_once.json").exit_code == 1


def test_every_field_says_what_it_means():
    definitions = schema()["$defs"]
    for name in ("Dag", "Task"):
        for field, content in definitions[name]["properties"].items():
            assert content.get("description") or field == "tasks", (name, field)
