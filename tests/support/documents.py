"""The documents as tests see them: their blocks, each of one kind, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from pydag_dist.cli import pydag

ROOT = Path(__file__).parents[2]
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted(page for page in ROOT.glob("[a-z]*/**/*.md") if "node_modules" not in page.parts),
)

# What follows ``` -> what tests make of the block. FILE stands for any file's name.
KINDS = {
    "console": "what follows `$ ` is typed on a fresh `pydag up`; the lines below it are in its "
    "output (… is any text), and one that begins with `Error:` says that it fails. RUN is the run "
    "that was submitted last, DIR an empty directory",
    "console remote": "typed on other hosts: each command is one that the program has",
    "bash": "typed with the URL and a TOKEN of a `pydag up`: run by tests/acceptance/test_rest.py",
    "console docker": "typed where Docker is: services and files are those of docker-compose.yaml",
    "bash systemd": "typed as root: units and files are those of deploy/systemd",
    "sh google": "typed with a project in Google Cloud: run with stand-ins of gcloud, bq and pydag",
    "mermaid": "a diagram of states, drawn from table.lua by tests/support/states.py",
    "python": "run in a terminal of `pydag up`",
    "python FILE": "a module, which is there when `pydag up` starts",
    "python fixture": "a conftest.py, then a test of an embedded installation: run by "
    "tests/acceptance/test_fixture.py",
    "python test": "tests of DAGs: run by tests/unit/testing/test_docs.py",
    "json FILE": "a DAG, which is there when `pydag up` starts, and is run",
    "json task": "one task of a DAG",
    "json webhook": "what a webhook is told",
    "toml pydag.toml": "settings",
    "toml alerts": "settings of coordinators, with each format of a webhook",
    "toml pyproject.toml": "an entry point of a module that is another block",
    "sql": "runs on SQLite and on PostgreSQL, on a history's tables",
    "text acl": "users of Redis, taken by test_secured_redis.py",
    "text diagram": "a drawing: no command and no figure is in it",
    "text faults": "figures of a session of `make chaos`: faults that there are",
    "text problems": "problems of a DAG file, made by tests/unit/dag/test_docs.py",
    "text timeline": "what `make demo` draws, of the tasks of the example pipeline",
}
HELP = "write one of these after its ```, with `python` and `json` a file's name if it is a file:\n"
HELP += "\n".join(f"  {kind}: {what}" for kind, what in KINDS.items())

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SEPARATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "do", "done", "(", ")"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        """One of `KINDS`, or what is none."""
        language, _, word = self.info.partition(" ")
        return f"{language} FILE" if "." in word and self.info not in KINDS else self.info

    @property
    def file(self) -> str:
        """The name of the file that it is."""
        return self.info.partition(" ")[2]


@dataclass(frozen=True)
class Command:
    """A line that is typed, and what the page shows of its output."""

    text: str
    shown: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """Without comments, and without what is said only of its variables."""
        words = split(self.text)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            del words[0]
        return words


def blocks(page: Path) -> list[Block]:
    """All of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[2].strip(), _dedented(found))
        for found in _FENCE.finditer(text)
    ]


def all_blocks(kind: str | None = None) -> list[Block]:
    """Of every page, those of a kind."""
    found = [block for page in PAGES for block in blocks(page)]
    return [block for block in found if kind is None or block.kind == kind]


def commands(text: str) -> list[Command]:
    """Those of a console block."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append([line.removeprefix("$ ")])
        elif not found:
            raise AssertionError(f"{line!r} is above the first command, which begins with `$ `")
        elif found[-1][-1].endswith("\\") and len(found[-1]) == 1:
            found[-1][0] = f"{found[-1][0][:-1]} {line.strip()}"
        else:
            found[-1].append(line)
    return [Command(first, tuple(filter(str.strip, shown))) for first, *shown in found]


def running_text(page: Path) -> str:
    """What is in no block."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline(page: Path) -> list[str]:
    """The commands in the running text of a page."""
    text = running_text(page)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    return [span for span in spans if re.match(r"(\w+=\S+ )*pydag [a-z-]", span)]


def split(text: str) -> list[str]:
    """The words of a shell's line; operators are words of their own."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return list(lexer)


def pydag_commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `pydag` of a shell's lines."""
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in [*split(line), ";"]:
            if word in _SEPARATORS:
                if "pydag" in words:
                    yield words[words.index("pydag") + 1 :]
                words = []
            elif words or not re.fullmatch(r"\w+=.*", word):
                words.append(word)


def check_arguments(arguments: list[str], *, whole: bool = True, where: str = "") -> None:
    """AssertionError unless `pydag` takes them; arguments may be missing if it isn't `whole`."""
    line = f"{where} `{shlex.join(['pydag', *arguments])}`".strip()
    name, *rest = arguments
    command: click.Command | None = pydag
    if name.startswith("-"):
        rest = arguments
    else:
        command = pydag.commands.get(name)
        assert command is not None, f"{line}: there is no command {name}"
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, *rest = rest
        command = command.commands.get(name)
        assert command is not None, f"{line}: there is no command {name}"
    try:
        command.make_context(name, rest)
    except click.exceptions.Exit:  # --help, --version
        pass
    except click.MissingParameter as error:
        if whole:
            raise AssertionError(f"{line}: {error.format_message()}") from None
    except click.UsageError as error:
        raise AssertionError(f"{line}: {error.format_message()}") from None


def _dedented(found: re.Match[str]) -> str:
    return re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
