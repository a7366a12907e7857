"""The table of the unit test of trigger rules on a real server, below up to four tasks."""

from __future__ import annotations

import redis

from tests.model.rules_table import MAIN, check, sequences


def test_a_rule_decides_alike_in_every_order_below_three_or_four_tasks(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        check(client, [*sequences(3), *sequences(4, MAIN)])
