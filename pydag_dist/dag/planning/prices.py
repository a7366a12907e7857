"""What bytes cost that BigQuery bills on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydag_dist.dag.text.quote import counted

_TIB: Final = 1 << 40
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


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


def estimate_text(document: Mapping[str, Any], tasks: int) -> str:
    """An estimate with prices as a table, of a DAG with so many tasks."""
    found = document["tasks"]
    rows = [("task", "reads", "billed", "USD", "")]
    for name, each in found.items():
        if each["bytes"] is None or each["billed"] is None:
            rows.append((name, "?", "?", "?", each["note"]))
        else:
            sizes = size(each["bytes"]), size(each["billed"])
            rows.append((name, *sizes, f"{each['price']:.4f}", each["note"]))
    billed, unknown = document["billed"], len(document["unknown"])
    note = f"and what {unknown} of {len(found)} tasks read" if unknown else ""
    price = f"{document['price']:.4f}"
    rows.append(("in all", size(document["bytes"]), size(billed), price, note))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(
            (row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3)), row[4])
        ).rstrip()
        for row in rows
    ]
    if document["budget"] is not None and billed > document["budget"]:
        lines.append(f"More than the DAG's budget_bytes, {size(document['budget'])}.")
    if others := tasks - len(found):
        lines.append(
            f"No job of BigQuery, or only a question for tables: {counted(others, 'task')}."
        )
    return "\n".join(lines)


def size(count: float) -> str:
    """So many bytes in the unit that they are read in."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
