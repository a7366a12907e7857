"""How a job of Dataproc becomes a `spark-submit` on this machine."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.cloud.dataproc_v1 import Job, LoggingConfig

from pydag_emulators.buckets import buckets
from pydag_emulators.dataproc.calls.kinds import kind_of, work_of
from pydag_emulators.errors import CannotStart

DRIVER = Path(__file__).with_name("driver.py")

# Measured: 12 s instead of 16 s for a job that reads a CSV file and writes Parquet. The second
# stage compiler and the parallel collectors pay off in jobs that are longer than ours.
JVM_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

SQL_DRIVER = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"
NO_JAR = "spark-internal"  # spark-submit's own name for a class in its jars

# Properties that decide where a job runs; here that is this machine.
OURS = ("spark.master", "spark.submit.deployMode")

LOG4J = """\
rootLogger.level = {level}
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{{yy/MM/dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""


@dataclass(frozen=True)
class SparkSettings:
    """What is the same for all jobs of a service."""

    java_home: Path
    gcs_root: Path
    gcs_url: str
    bigquery_url: str
    cores: int


@dataclass(frozen=True)
class LocalFiles:
    """A job's files after they were fetched, as `spark-submit` takes them."""

    main: str
    python: list[str]
    jars: list[str]
    others: list[str]
    archives: list[str]


def spark_home() -> Path:
    """Where the package pyspark keeps its Spark."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise CannotStart("local Dataproc needs Spark: pip install 'pydag-dist[local]'")
    return Path(found.origin).parent


def wanted_jars(uris: list[str]) -> list[str]:
    """The jars without Google's BigQuery connector, since `driver` replaces it."""
    return [uri for uri in uris if not Path(uri).name.startswith("spark-bigquery")]


def command(settings: SparkSettings, job: Job, files: LocalFiles, directory: Path) -> list[str]:
    """`spark-submit` with the driver that runs the job's script; `directory` is the job's own."""
    properties = {
        **_gcs_properties(settings.gcs_root),
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # One machine: 200 shuffle partitions would only be 200 small files.
        "spark.sql.shuffle.partitions": str(settings.cores),
        **{key: value for key, value in work_of(job).properties.items() if key not in OURS},
    }
    if jars := properties.pop("spark.jars", ""):
        files.jars.extend(wanted_jars(jars.split(",")))
    lists = {
        "--py-files": files.python,
        "--jars": files.jars,
        "--files": files.others,
        "--archives": files.archives,
    }
    return [
        str(spark_home() / "bin" / "spark-submit"),
        *("--master", f"local[{settings.cores}]", "--name", job.reference.job_id),
        *(part for item in properties.items() for part in ("--conf", "=".join(item))),
        *(part for option, some in lists.items() if some for part in (option, ",".join(some))),
        *_program(job, files),
    ]


def _program(job: Job, files: LocalFiles) -> list[str]:
    """What `spark-submit` is to run, and its arguments."""
    work, kind = work_of(job), kind_of(job)
    if kind == "pyspark_job":
        return [str(DRIVER), files.main, *work.args]
    if kind == "spark_job":
        chosen = ["--class", work.main_class] if work.main_class else []
        return [*chosen, files.main or NO_JAR, *work.args]
    # Not by -f: it can't read a file without the checksumming file system, see _gcs_properties.
    queries = Path(files.main).read_text() if files.main else ";\n".join(work.query_list.queries)
    variables = [f"{name}={value}" for name, value in work.script_variables.items()]
    options = [part for variable in variables for part in ("--hivevar", variable)]
    return ["--class", SQL_DRIVER, NO_JAR, *options, "-e", queries]


def environment(settings: SparkSettings, job: Job, directory: Path) -> dict[str, str]:
    """The whole environment of the job's processes."""
    jvm = [*JVM_OPTIONS, f"-Dlog4j2.configurationFile=file:{directory / 'log4j2.properties'}"]
    inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "JAVA_HOME": str(settings.java_home),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_DIRS": str(directory / "spark"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": " ".join(f'"{option}"' for option in jvm),  # paths may have spaces
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "GOOGLE_CLOUD_PROJECT": job.reference.project_id,
        "STORAGE_EMULATOR_HOST": settings.gcs_url,
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_url,
        "PYDAG_GCS_ROOT": str(settings.gcs_root),
        "PYDAG_JOB_DIRECTORY": str(directory),
        "PYDAG_JOB_ID": job.reference.job_id,
        "PYDAG_JOB_UUID": job.job_uuid,
    }


def write_log_settings(job: Job, directory: Path) -> None:
    """Spark's own log goes to the driver output from WARN on, unless the job says otherwise."""
    levels = work_of(job).logging_config.driver_log_levels
    level = LoggingConfig.Level(levels.get("root", LoggingConfig.Level.WARN))
    text = LOG4J.format(level=level.name)
    for name, its_level in levels.items():
        if name != "root":
            key = name.replace(".", "_")
            text += f"logger.{key}.name = {name}\n"
            text += f"logger.{key}.level = {LoggingConfig.Level(its_level).name}\n"
    (directory / "log4j2.properties").write_text(text)


def _gcs_properties(root: Path) -> Mapping[str, str]:
    """Properties for gs:// without Google's connector: each bucket is a view of its directory.

    They are for the buckets that are there when the job begins.
    """
    mounts = {
        f"spark.hadoop.fs.viewfs.mounttable.{bucket.name}.linkFallback": bucket.as_uri()
        for bucket in buckets(root)
    }
    return {
        "spark.hadoop.fs.gs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        # The checksumming file system would write `.name.crc` objects.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        **mounts,
    }
