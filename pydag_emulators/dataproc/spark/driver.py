"""Runs inside `spark-submit`: makes ready what a Dataproc script needs, then runs it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

# This file is executed as a script, so its directory would hide packages of the same names.
sys.path.pop(0)

from pyspark import SparkConf
from pyspark.sql import SparkSession

from pydag_emulators.dataproc.spark import bigquery


def forget_master() -> None:
    """Ignore the master that a script names, such as yarn: it would override `--master`."""
    set_option = SparkConf.set
    get_or_create = SparkSession.Builder.getOrCreate

    def set_unless_master(self: SparkConf, key: str, value: str) -> SparkConf:
        return self if key == "spark.master" else set_option(self, key, value)

    def without_master(self: SparkSession.Builder) -> SparkSession:
        self._options.pop("spark.master", None)
        return get_or_create(self)

    def same(self: SparkConf, value: str) -> SparkConf:  # noqa: ARG001 - Spark's signature
        return self

    SparkConf.set = set_unless_master  # type: ignore[method-assign]
    SparkConf.setMaster = same  # type: ignore[method-assign]
    SparkSession.Builder.getOrCreate = without_master  # type: ignore[method-assign]


def main() -> None:
    """Run the script named by the first argument as `spark-submit` would."""
    script, *arguments = sys.argv[1:]
    forget_master()
    bigquery.install()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
