"""A Java that finds Spark's classes in an archive: loading them is half of what a small job costs.

`python -m tests.support.spark_java` makes it, once for a virtual environment. Tests start Spark by
it if it is there. Where the archive does not fit any more, Java goes on without it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(sys.prefix) / "spark-java"
SHIM = """#!/bin/sh
exec {java} -XX:SharedArchiveFile={archive} -Xshare:auto -Xlog:disable -Xlog:all=off "$@"
"""
# What most jobs of the tests use.
JOB = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([(1, "Ada"), (2, "Alan")], "id int, name string")
rows.write.parquet(sys.argv[1])
spark.read.parquet(sys.argv[1]).createOrReplaceTempView("people")
assert spark.sql("SELECT COUNT(*) FROM people WHERE id > 1").first()[0] == 1
"""


def use() -> None:
    """Let all that this process starts use it, if it is there."""
    if (HOME / "bin" / "java").is_file():
        os.environ["JAVA_HOME"] = str(HOME)


def make(home: Path) -> None:
    """Run a job, at whose end Java writes the archive; a Java that can't do that stays as it is."""
    from pydag_emulators.dataproc.java import java_home
    from pydag_emulators.dataproc.spark.submit import JVM_OPTIONS, spark_home

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        java = java_home(directory)
        archive = home / "spark.jsa"
        (directory / "job.py").write_text(JOB)
        home.joinpath("bin").mkdir(parents=True, exist_ok=True)
        options = [*JVM_OPTIONS, f"-XX:ArchiveClassesAtExit={archive}", "-Xlog:disable"]
        subprocess.run(
            [
                str(spark_home() / "bin" / "spark-submit"),
                *("--master", "local[2]", "--conf", "spark.ui.enabled=false"),
                *(str(directory / "job.py"), str(directory / "out")),
            ],
            env={
                **os.environ,
                "JAVA_HOME": str(java),
                "SPARK_HOME": str(spark_home()),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "SPARK_SUBMIT_OPTS": shlex.join(options),
                "PYSPARK_PYTHON": sys.executable,
            },
            capture_output=True,
            check=True,
            timeout=300,
        )
        if archive.is_file() and not java.is_relative_to(directory):
            quoted = {"java": java / "bin" / "java", "archive": archive}
            shim = home / "bin" / "java"
            shim.write_text(SHIM.format(**{k: shlex.quote(str(v)) for k, v in quoted.items()}))
            shim.chmod(0o755)


if __name__ == "__main__":
    make(HOME)
