"""The pipeline of `pipeline.json` as Python: `python pipeline.py` submits it and waits."""

from __future__ import annotations

from pydag_dist import Client, Dag
from pydag_dist.settings import load_settings

PROJECT = "local-project"
SCRIPTS = "gcs.project-pydag.module_name"
CLUSTER = {
    "cluster_name": "cluster-dataproc-pydag-2022",
    "project_name": PROJECT,
    "region": "us-central1",
}
COLUMNS = "id int64, category string, lastdate date"
TABLES = {"project": PROJECT, "dataset": "datasettest"}


def pipeline() -> Dag:
    """Two extracts of a CSV file end up in one partitioned table."""
    with Dag(
        "TEST_DAG",
        description="Two extracts of a CSV file end up in one partitioned table",
        owner="owner",
        tags=["example"],
        script_cache=True,
        expire_cache=7200,
        processors=4,
    ) as dag:
        cluster = dag.script("startup_dataproc_1", f"{SCRIPTS}.iac.startup_dataproc", CLUSTER)
        final = dag.script(
            "create_table_final",
            f"{SCRIPTS}.bq.create_table",
            {
                **TABLES,
                "table": "mytable3",
                "columns": COLUMNS,
                "partitioncolumn": "lastdate",
                "clustercolumn": "category",
            },
        )
        staging = [
            dag.script(
                f"create_table_stg_{number}",
                f"{SCRIPTS}.bq.create_table_stg",
                {**TABLES, "table": f"mytable{number}", "columns": COLUMNS},
            )
            for number in (1, 2)
        ]
        ingestion = dag.script(
            "initial_ingestion_1",
            f"{SCRIPTS}.spark.initial_ingestion",
            {
                **CLUSTER,
                "bucket": "project-pydag",
                "folder": "module_name",
                "file_name": "events.csv",
                "dataset": "datasettest",
                "destination_table": "table_stg",
            },
        )
        extracts = [
            dag.script(
                f"extract_from_stg_{number}",
                f"{SCRIPTS}.bq.extract_from_stg",
                {
                    **TABLES,
                    "tablesource": "table_stg",
                    "tabledestination": f"mytable{number}",
                    "year": year,
                    "category": category,
                },
            )
            for number, year, category in ((1, "2022", "cars"), (2, "2021", "food"))
        ]
        fact = dag.script(
            "insert_to_fact",
            f"{SCRIPTS}.bq.insert_to_fact",
            {**TABLES, "table1": "mytable1", "table2": "mytable2", "tablefinal": "mytable3"},
        )
        [cluster, final, *staging] >> ingestion
        ingestion >> extracts
        extracts >> fact
    return dag


if __name__ == "__main__":
    run = Client(load_settings().redis_url).submit(pipeline())
    print(run.id, run.wait(timeout=600))
