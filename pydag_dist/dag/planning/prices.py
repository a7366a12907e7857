"""What bytes cost that BigQuery bills on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TIB: Final = 1 << 40


def usd(billed: int, price: float) -> float:
    """What so many bytes cost, at that price of a TiB."""
    return billed / _TIB * price


def priced(document: Mapping[str, Any], price: float) -> dict[str, Any]:
    """An estimate with the price of each task, and of all together."""
    tasks = {
        name: {**each, "price": None if each["billed"] is None else usd(each["billed"], price)}
        for name, each in document["tasks"].items()
    }
    return {**document, "price": usd(document["billed"], price), "tasks": tasks}
