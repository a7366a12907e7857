"""The command runs with its standard streams closed, as services and `>&-` leave them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, sys
sys.argv[1:] = ["--version"]
from pydag_dist.cli import main
try: main()
except SystemExit as ended: assert not ended.code, ended.code
closed = [number for number in range(3) if not os.path.exists(f"/proc/self/fd/{number}")]
with open(os.devnull) as file: assert not closed and file.fileno() > 2, (closed, file.fileno())
os._exit(7)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device(closed):
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", CODE]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 7


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk_is_told_in_a_sentence(option):
    with open("/dev/full", "w") as full:  # noqa: PTH123  no disk is as full
        command = [sys.executable, "-m", "pydag_dist", option]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (2, b"Error: No space left on device\n")


INTERRUPTED = """
import sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == sys.argv[2]: raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
from pydag_dist.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("imported", "told"),
    [("pydag_dist.cli.group", b""), ("pydag_dist.cli.commands.dags", b"\nAborted!\n")],
)
def test_ctrl_c_while_the_command_is_imported_shows_no_traceback(imported, told):
    command = [sys.executable, "-c", INTERRUPTED, "schema", imported]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, told)
