"""Results of tasks, as they are kept in Redis and read from it."""

from __future__ import annotations

import json

import fakeredis
import pytest

from tests.support.engine_bench import Bench, task


@pytest.mark.parametrize(
    "result", ['"\\ud83d"', '["\\\\ud83d", "\\udc00\\ud83d\\ude00"]', '{"\\uDFFF": "\\\\"}']
)
def test_a_result_with_half_a_character_is_json(result):
    bench = Bench(fakeredis.FakeRedis(decode_responses=True))
    bench.slots(1)
    bench.start(task("a"))
    bench.end(bench.take(), result=result)
    assert bench.engine.working.results_of("r", ["a"]) == {"a": json.loads(result)}
