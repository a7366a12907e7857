"""pyDag's scripts: the five-part path that names one, and its params in single quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

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


# What stands in quotes, and the words that Python and JSON spell differently.
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b""", re.DOTALL)
_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_HEX: Final = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf'\\(?:x(?P<x>{_HEX}{{2}})|U(?P<U>00(?:0{_HEX}|10){_HEX}{{4}})|.)|"', re.DOTALL
)
_ESCAPES: Final = {"\\'": "'", '"': '\\"'}


def single_quoted(text: str) -> Iterator[str]:
    """The JSON texts that pyDag's params could mean, the likeliest first.

    pyDag reads its params after replacing each ``'`` by ``"``. A text that is JSON already is
    taken as such, and one with both kinds of quotes as Python writes a dict.
    """
    yield text
    yield text.replace("'", '"')
    yield _TOKEN.sub(_to_json, text)


def _to_json(match: re.Match[str]) -> str:
    token = match[0]
    return _WORDS.get(token) or f'"{_ESCAPE.sub(_escape_as_json, token[1:-1])}"'


def _escape_as_json(match: re.Match[str]) -> str:
    if code := match["x"] or match["U"]:
        return json.dumps(chr(int(code, 16)))[1:-1]
    return _ESCAPES.get(match[0], match[0])


def quote(value: Any, limit: int = 60) -> str:
    """A value as a message shows it: JSON on one line, cut when long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = f"a Python {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _or(names: Any) -> str:
    *first, last = (f'"{name}"' for name in names)
    return f"{', '.join(first)} or {last}" if first else last
