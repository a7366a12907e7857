"""Answers each line of JSON, a text and edits, as POST /edit does: for tests of the interface."""

from __future__ import annotations

import json
import sys

from pydantic import TypeAdapter

from pydag_dist.dag.editing.edits import Edit, edited
from pydag_dist.errors import PydagError

if __name__ == "__main__":
    edits = TypeAdapter(list[Edit])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            changes = edited(asked["text"], edits.validate_python(asked["edits"]))
            told = {"changes": [change._asdict() for change in changes]}
        except PydagError as error:
            told = {"error": str(error)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
