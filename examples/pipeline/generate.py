"""Writes the pipeline's CSV file: `python generate.py --rows 100000 --out events.csv`.

The same number of rows and the same seed give the same file.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

CATEGORIES = ("cars", "food", "books", "music", "sport")
FIRST_DAY = dt.date(2020, 1, 1)
DAYS = 4 * 365


def rows(count: int, seed: int) -> Iterator[tuple[int, str, str]]:
    """id, category and lastdate of each event."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        day = FIRST_DAY + dt.timedelta(days=chance.randrange(DAYS))
        yield number, chance.choice(CATEGORIES), day.isoformat()


def generate(count: int, file: Path, seed: int = 2022) -> None:
    """Write `count` events and a header line."""
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "category", "lastdate"])
        writer.writerows(rows(count, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2022)
    options = parser.parse_args()
    generate(options.rows, options.out, options.seed)


if __name__ == "__main__":
    main()
