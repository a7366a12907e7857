"""Every trigger rule, below every mix of ends of upstream tasks, in every order of these ends."""

from __future__ import annotations

import fakeredis

from tests.model.rules_table import check, sequences


def test_a_rule_decides_alike_in_every_order_below_one_or_two_tasks() -> None:
    check(fakeredis.FakeRedis(decode_responses=True), [s for n in (1, 2) for s in sequences(n)])
