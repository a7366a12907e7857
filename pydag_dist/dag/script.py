"""pyDag's scripts: the five-part path that names one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag.text.quote import quote

ENGINES: Final = {"bq": ".sql", "spark": ".py", "iac": ".iac"}
# Dataproc reads its scripts from Cloud Storage.
STORAGES: Final = {
    "gcs": ("bq", "spark", "iac"),
    "s3": ("bq", "iac"),
    "database": ("bq", "iac"),
    "local": ("bq", "iac"),
}
PARTS: Final = "<storage>.<bucket>.<folder>.<engine>.<name>"

# No dot can be in a part, so a path never climbs; a folder may have slashes between its names.
_NAME = r"[^\s./\\]+"
_FOLDER = rf"{_NAME}(/{_NAME})*"
_PLACES = "|".join(
    rf"{storage}\.{_NAME}\.{_FOLDER}\.({'|'.join(engines)})"
    for storage, engines in STORAGES.items()
)
PATTERN: Final = rf"^({_PLACES})\.{_NAME}$"


@dataclass(frozen=True, slots=True)
class ScriptPath:
    """Where a script's text is, and which engine runs it.

    What the path calls a bucket is a directory of a local store, and the name of a database.
    """

    storage: str  # "gcs", "s3", "database" or "local"
    bucket: str
    folder: str
    engine: str  # "bq", "spark" or "iac"
    name: str

    @classmethod
    def parse(cls, path: str) -> ScriptPath:
        """The parts of a path such as ``gcs.my-bucket.sql.bq.create_table``.

        Raises ValueError, whose message names every part that is wrong.
        """
        parts = path.split(".")
        if len(parts) != 5:
            raise ValueError(f"must have the five parts {PARTS}, not {len(parts)}: {quote(path)}")
        found = cls(*parts)
        if wrong := list(found._wrong_parts()):
            raise ValueError("; ".join(wrong))
        return found

    def _wrong_parts(self) -> list[str]:
        wrong = []
        if self.storage not in STORAGES:
            wrong.append(f"storage must be {_or(STORAGES)}, not {quote(self.storage)}")
        if self.engine not in ENGINES:
            wrong.append(f"engine must be {_or(ENGINES)}, not {quote(self.engine)}")
        elif self.engine not in STORAGES.get(self.storage, ENGINES):
            wrong.append(f'engine "{self.engine}" reads its scripts from storage "gcs" only')
        for part, pattern in (("bucket", _NAME), ("folder", _FOLDER), ("name", _NAME)):
            value = getattr(self, part)
            if not value:
                wrong.append(f"{part} is empty")
            elif not re.fullmatch(pattern, value):
                wrong.append(f"{part} has a character that no {part} can have: {quote(value)}")
        return wrong

    @property
    def path(self) -> str:
        """The text that the file has."""
        return f"{self.storage}.{self.bucket}.{self.folder}.{self.engine}.{self.name}"

    @property
    def object_name(self) -> str:
        """The script's object in its bucket, or file below its directory."""
        return f"{self.folder}/{self.name}{ENGINES[self.engine]}"

    def __str__(self) -> str:
        return self.path


def _or(names: Any) -> str:
    *first, last = (f'"{name}"' for name in names)
    return f"{', '.join(first)} or {last}" if first else last
