"""What the engine's script refuses it has not begun to write, on fakeredis."""

from __future__ import annotations

import json

import fakeredis
import pytest

from pydag_dist.engine.script import source
from tests.model.bad_arguments import ARGUMENTS, Scene, written_in_spite
from tests.support.engine_bench import Bench, task

pytestmark = pytest.mark.slow


@pytest.fixture
def scene():
    return Scene(fakeredis.FakeRedis(decode_responses=True))


def test_nothing_is_written_before_the_last_check(scene):
    assert written_in_spite(scene) == []


def test_every_operation_is_tried():
    defined = {line.split("(")[0] for line in source().split("function OPERATIONS.")[1:]}
    assert defined == set(ARGUMENTS)


@pytest.mark.parametrize("operation", sorted(ARGUMENTS))
def test_what_is_fine_is_not_refused(scene, operation):
    """So that the test above does not pass by arguments that nobody would take."""
    scene.engine.store.call(operation, *scene.good(operation))


@pytest.mark.parametrize(
    "result", ['"\\ud83d"', '["\\\\ud83d", "\\udc00\\ud83d\\ude00"]', '{"\\uDFFF": "\\\\"}']
)
def test_a_result_with_half_a_character_is_json(result):
    bench = Bench(fakeredis.FakeRedis(decode_responses=True))
    bench.slots(1)
    bench.start(task("a"))
    bench.end(bench.take(), result=result)
    assert bench.engine.working.results_of("r", ["a"]) == {"a": json.loads(result)}
