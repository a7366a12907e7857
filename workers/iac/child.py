"""The process of one iac script: a `Marked` text, name and parent on stdin, output to stdout.

The script's text has a class named like the script, which is constructed with a logger and then
told to `run_script`. Exit status 0 is success; an exception's traceback and 1 is failure.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydag_dist.errors import Fail, Skip
from workers.iac.python_text import CodeRefused, parsed
from workers.pool.orphans import die_with_parent

# pyDag's loggers take the number of a message; its scripts use these.
_MESSAGES = {
    19: "creating cluster {} in project {}, region {}",
    20: "cluster {} was created",
}


class ScriptLogger:
    """The logger that pyDag's scripts are constructed with."""

    def info(
        self,
        code: int | str,
        params: Sequence[Any] = (),
        raise_error: bool = False,
        error_type: type[Exception] | None = None,
    ) -> None:
        """Log a message by its number, or a text; then raise it if the script wants that."""
        message = self._message(code, params)
        sys.stdout.write(f"{message}\n")
        if raise_error:
            raise (error_type or RuntimeError)(message)

    def _message(self, code: int | str, params: Sequence[Any]) -> str:
        template = _MESSAGES.get(code) if isinstance(code, int) else None
        if template is not None and template.count("{}") == len(params):
            return template.format(*params)
        return " ".join(map(str, (code, *params)))


def main() -> None:
    """Run the script that stdin describes."""
    die_with_parent()
    request = json.load(sys.stdin)
    if os.getppid() != request["parent"]:
        sys.exit("the worker's process is gone")  # before this one could ask to be told
    if os.environ.get("DATAPROC_EMULATOR_HOST"):
        from workers.google import local_transport  # noqa: PLC0415  imports Google's clients

        local_transport.redirect()
    try:
        run(request["name"], request["text"], request["shown"], request["marks"])
    except CodeRefused as error:
        sys.exit(str(error))
    except (Skip, Fail) as error:
        kind = Skip if isinstance(error, Skip) else Fail
        verdict = json.dumps([kind.__name__, str(error)])
        Path(request["verdict"]).write_text(verdict, encoding="utf-8")
        sys.exit(f"{kind.__name__}: {error}")
    except Exception:  # noqa: BLE001  the script's own, whatever it is
        # The interpreter would not find the lines of a text that is no file.
        traceback.print_exc()
        sys.exit(1)


def run(name: str, text: str, shown: str, marks: Mapping[str, tuple[str, Any]]) -> None:
    """Execute a script's text and its class; tracebacks have the lines of `shown`."""
    file = f"{name}.iac"
    linecache.cache[file] = (len(shown), None, shown.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": name, "__file__": file}
    exec(compile(parsed(text, file, marks), file, "exec"), namespace)  # noqa: S102  of a store that the worker trusts
    if not isinstance(script := namespace.get(name), type):
        sys.exit(f"{file} has no class {name}")
    script(ScriptLogger()).run_script()


if __name__ == "__main__":
    main()
