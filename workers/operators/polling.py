"""What operators share that ask for many jobs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from workers import patience
from workers.operators.base import Answer, Asked, RemoteOperator

_AT_ONCE = 8  # calls; Google's clients are safe to share among threads


def by_place(asked: Sequence[Asked], *names: str) -> list[list[Asked]]:
    """Those whose handles have the same values of `names` together."""
    places: dict[tuple[object, ...], list[Asked]] = {}
    for one in asked:
        places.setdefault(tuple(one.handle[name] for name in names), []).append(one)
    return list(places.values())


def answers_at_once(
    operator: RemoteOperator, asked: Sequence[Asked]
) -> Iterator[tuple[Asked, Answer]]:
    """The answers of `poll`, several calls at a time, as far as there is time."""

    def answer(one: Asked) -> Answer | None:
        return None if patience.is_out() else operator.answer(one)

    if not asked:
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(asked)), "poll") as pool:
        for one, answered in zip(asked, pool.map(answer, asked), strict=True):
            if answered is not None:
                yield one, answered
