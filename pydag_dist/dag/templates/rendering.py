"""What rendering the templates of a task may cost, and how values of JSON are counted.

Every operator and filter counts its work before it does it; if the work is small in any case, right
after it. So neither 900 templates nor a filter over a long list can use up a worker's memory or
time.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

MAX_TEXT: Final = 1_000_000  # characters of a text
MAX_CHARACTERS: Final = 10_000_000  # of all texts that are made
MAX_STEPS: Final = 1_000_000  # values computed, items made or looked at: about a second
MAX_BITS: Final = 4096  # of a number: what Python writes as text has at most 4,300 digits

_SHOWN: Final = 10  # keys of an object
_STRIDE: Final = 6  # of a text or number, 64 characters or bits cost as much as a step
_INSTEAD: Final = "compute it in a task, and take the task's result"


class Params(dict[str, Any]):
    """A run's params; messages call this object `params`."""


class Missing:
    """Stands for a value that is not there: only `default` and `is defined` accept it."""

    def __init__(self, why: str) -> None:
        self.why = why


def fail(missing: Missing) -> NoReturn:
    """Say what is missing."""
    raise ValueError(missing.why)


def known(value: Any) -> Any:
    """The value; raises ValueError if it is missing."""
    if isinstance(value, Missing):
        fail(value)
    return value


def shape(value: Any) -> str:
    """What a value is, for messages: data may be long or secret."""
    if isinstance(value, Params):
        return "params"
    if isinstance(value, Mapping):
        keys = ", ".join(str(key)[:40] for key in itertools.islice(value, _SHOWN))
        more = ", …" if len(value) > _SHOWN else ""
        return f"an object of {keys}{more}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "a text")


class Rendering:
    """One rendering of all templates of a task, and what is left of what it may cost.

    All methods raise ValueError when it costs too much.
    """

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._characters = MAX_CHARACTERS

    def spend(self, steps: int) -> int:
        """Count steps."""
        self._steps -= steps
        if self._steps < 0:
            raise ValueError(
                f"the templates of this task take more than {MAX_STEPS:,} steps: {_INSTEAD}"
            )
        return steps

    def room(self, length: int) -> None:
        """Count a text that is to be made."""
        if length > MAX_TEXT:
            raise ValueError(f"becomes longer than {MAX_TEXT:,} characters")
        self._characters -= length
        self.spend(1 + (length >> _STRIDE))
        if self._characters < 0:
            raise ValueError(
                f"the templates of this task make texts of more than {MAX_CHARACTERS:,} characters "
                f"together: {_INSTEAD}"
            )

    def made(self, text: str) -> str:
        """Count a text that was made."""
        self.room(len(text))
        return text

    def weigh(self, value: Any) -> int:
        """Count what it costs to look at all of a value; how many steps that were."""
        match value:
            case str():
                return self.spend(1 + (len(value) >> _STRIDE))
            case list():
                return self.spend(1) + sum(map(self.weigh, value))
            case Mapping():
                return self.spend(1) + sum(self.weigh(k) + self.weigh(v) for k, v in value.items())
            case int():
                if value.bit_length() > MAX_BITS:
                    raise ValueError("a number is too large")
                return self.spend(1 + (value.bit_length() >> _STRIDE))
            case Missing():
                fail(value)
            case _:
                return self.spend(1)

    def plain(self, value: Any) -> Any:
        """A copy of the value as JSON; what is in it twice counts twice. ValueError if not JSON."""
        match value:
            case str():
                return self.made(value)
            case list():
                self.spend(1)
                return [self.plain(item) for item in value]
            case Mapping():
                self.spend(1)
                return {self.made(key): self.plain(item) for key, item in value.items()}
            case float() if not math.isfinite(value):
                raise ValueError(f"{value} is no number of JSON")
            case _:
                self.weigh(value)
                return value

    def text(self, value: Any) -> str:
        """A text as it is, anything else as JSON writes it."""
        return value if isinstance(value, str) else self.to_json(value)

    def to_json(self, value: Any) -> str:
        """The value as JSON writes it."""
        return self.made(json.dumps(self.plain(value), ensure_ascii=False))

    def join(self, values: Iterable[Any], separator: str = "") -> str:
        """The texts of values, one after the other."""
        texts = []
        length = -len(separator)
        for value in values:
            texts.append(self.text(value))
            length += len(texts[-1]) + len(separator)
            self.spend(1)
            if length > MAX_TEXT:
                break
        self.room(max(length, 0))
        return separator.join(texts)

    def number(self, value: Any) -> Any:
        """The value if it is a number; raises ValueError for anything else."""
        self.weigh(value)
        if not isinstance(value, int | float):
            raise ValueError(f"{shape(value)} is no number (and texts are joined by ~)")  # noqa: TRY004  as all errors of values
        return self.plain(value)
