"""The command group: each command is imported when it is needed, and reports errors alike.

An error is one paragraph on stderr, never a traceback.
"""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import CodeType
from typing import Any, Final, NoReturn

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.errors import PydagError
from pydag_dist.sparing import without

MISUSE = 2  # also click's exit code for wrong options
INTERRUPTED: Final = 130  # what a shell says of a program that Ctrl-C has ended
_COMMANDS: Final = "pydag_dist.cli.commands"
# Files of commands that ask Redis something and end: they run nobody's code.
ASKING: Final = frozenset(
    {"backfills", "control", "pictures", "published", "runs", "workers", "upkeep.stats"}
)


class Lazily(Mapping[str, click.Command]):
    """Commands by their names, in the order in which they were added."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def add(self, name: str, file: str) -> None:
        """One that is in this file of `commands`, as a function of its name."""
        self._files[name] = file

    def listed(self, name: str, limit: int = 45) -> str:
        """What a list says of it in at most so many characters: how its docstring begins."""
        code = _compiled(f"{_COMMANDS}.{self._files[name]}")
        function = next(each for each in code.co_consts if getattr(each, "co_name", "") == name)
        # By the language's reference (of code objects) a function's docstring, if it has one.
        help_ = function.co_consts[0] if sys.flags.optimize < 2 else None
        return click.Command(name, help=help_).get_short_help_str(limit)

    def __getitem__(self, name: str) -> click.Command:
        if self._files[name] in ASKING:
            # Google's libraries bring the interface of OpenTelemetry, which takes an eighth of the
            # time of such a command if redis-py finds it; and nobody takes its metrics.
            with without("opentelemetry"):
                import_module("redis")
        return getattr(import_module(f"{_COMMANDS}.{self._files[name]}"), name)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@cache
def _compiled(module: str) -> CodeType:
    """The code of a module, which is not run."""
    spec = find_spec(module)
    assert spec is not None  # noqa: S101  it is one of ours
    return spec.loader.get_code(module)  # type: ignore[union-attr, no-any-return]


class Commands(click.Group):
    """Lists its commands in the order in which they are needed, and reports our errors.

    Neither a list of them nor the completion of their names imports any.
    """

    commands: Lazily  # type: ignore[assignment]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of the commands, each with its sentence."""
        del ctx
        limit = formatter.width - 6 - max(map(len, self.commands))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands.listed(name, limit)) for name in self.commands]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the name of a command, or an option."""
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=self.commands.listed(name))
                for name in self.commands
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command; what is imported by then stays, and is left out of collections."""
        found = super().resolve_command(ctx, args)
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return found

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; its help may be printed to where it can't be written."""
        try:
            return super().make_context(*args, **extra)
        except OSError as error:
            self._fail_of_system(error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an expected error becomes its message and exit code 2."""
        from pydag_dist.settings import unknown_variables

        for warning in unknown_variables():
            echo(f"Warning: {warning}", err=True)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would end with 1, as after a run that failed
            echo("\nAborted!", err=True)
            raise SystemExit(INTERRUPTED) from None
        except PydagError as error:
            self._fail(str(error))
        except UnicodeError:
            self._fail(
                "An argument, a setting or a value in Redis has bytes that are no text: write it "
                "in the encoding of this terminal (LANG)."
            )
        except OSError as error:
            self._fail_of_system(error)
        except Exception as error:
            if (message := _of_redis(error)) is None:
                raise
            self._fail(message)

    def _fail_of_system(self, error: OSError) -> NoReturn:
        if error.errno == errno.EPIPE:  # the reader of a pipe has closed it: click ends quietly
            raise error
        what = f"{error.filename}: " if error.filename else ""
        self._fail(f"{what}{error.strerror or error}")

    def _fail(self, message: str) -> NoReturn:
        echo(f"Error: {message}", err=True)
        raise SystemExit(MISUSE)


def _of_redis(error: Exception) -> str | None:
    """What to tell of an error of redis-py; None for any other."""
    import redis

    if not isinstance(error, redis.RedisError):
        return None
    from pydag_dist.client.retrying import no_answer
    from pydag_dist.engine import address, connect, is_refusal, refusal
    from pydag_dist.settings import load_settings

    client = connect(load_settings().redis_url)
    if is_refusal(error):
        return str(refusal(error, client))
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return str(no_answer(error, client))
    return f"Redis at {address(client)} refused: {error}"


@click.group(
    cls=Commands, commands=Lazily(), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="pydag-dist", message="%(version)s")
def pydag() -> None:
    """Run DAGs of BigQuery, Dataproc and Cloud Storage tasks on many hosts.

    \b
    See it work on this machine, without any account:
        pydag demo
    \b
    An installation is one Redis, a coordinator and workers; every part finds the others by
    PYDAG_REDIS_URL:
        export PYDAG_REDIS_URL=redis://broker:6379/0
        pydag coordinator            # on one host (or two)
        pydag worker -c 8            # on each host that shall work
        pydag submit pipeline.json --wait
    \b
    Where Redis is not reachable, the commands for DAGs and runs go by `pydag web` and a token:
        export PYDAG_URL=https://pydag.example PYDAG_TOKEN_FILE=~/.pydag-token
        pydag runs
    \b
    Settings are PYDAG_* variables, or a TOML file named by PYDAG_CONFIG.
    """
