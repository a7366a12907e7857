from __future__ import annotations

import pytest

from workers.iac.child import ScriptLogger, run

TEXT = """
class create:
    def __init__(self, logger):
        self.logger = logger

    def run_script(self):
        self.logger.info(19, ["c1", "p", "r"])
        self.logger.info(20, ["c1"])
        self.logger.info("in words")
        self.logger.info(99, [1, "x"])
        self.logger.info(20, [])
"""


def test_the_class_named_like_the_script_runs(capsys):
    run("create", TEXT, TEXT, {})
    assert capsys.readouterr().out.splitlines() == [
        "creating cluster c1 in project p, region r",
        "cluster c1 was created",
        "in words",
        "99 1 x",
        "20",
    ]


def test_a_script_without_its_class_says_so():
    with pytest.raises(SystemExit, match=r"other\.iac has no class other"):
        run("other", TEXT, TEXT, {})


def test_a_logger_may_be_told_to_raise(capsys):
    with pytest.raises(KeyError, match="14 went wrong"):
        ScriptLogger().info(14, ["went wrong"], True, KeyError)
    with pytest.raises(RuntimeError):
        ScriptLogger().info(14, ["went wrong"], raise_error=True)
    assert capsys.readouterr().out == "14 went wrong\n14 went wrong\n"
