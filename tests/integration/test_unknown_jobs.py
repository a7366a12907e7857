"""Real workers whose services answer questions about accepted jobs as if they weren't there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.local_bigquery import PROJECT, LocalBigQuery

DATASET = f"{PROJECT}.unknown"
REFUSED = {"404": "notFound", "401": "authError", "403": "accessDenied"}


def load(status: str) -> dict[str, Any]:
    """A load that appends to a table of its own."""
    params = {
        "source_uris": ["gs://people/a.csv"],
        "destination": f"{DATASET}.people_{status}",
        "table_schema": [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}],
        "write_disposition": "WRITE_APPEND",
    }
    retries = {"retries": 2, "retry_delay": 0.1}
    return {
        "task_id": f"load-{status}", "operator": "bigquery.load", "params": params, **retries,
    }  # fmt: skip


def test_no_job_runs_twice_or_beside_another(cluster: Cluster, tmp_path: Path) -> None:
    with LocalBigQuery(tmp_path) as bigquery:
        bigquery.put("gs://people/a.csv", "1,ann\n2,bob\n")
        with bigquery.client() as client:
            client.create_dataset("unknown")
            for status, reason in REFUSED.items():
                refusal = {"job_id": f"load-{status}-", "status": int(status), "reason": reason}
                bigquery.fault(method="jobs.get", count=4, **refusal)
                bigquery.fault(method="run", job_id=f"load-{status}-", delay=1)
            bigquery.fault(method="run", job_id="slow-1-", delay=300)
            bigquery.fault(
                method="jobs.cancel", job_id="slow-1-", status=403, reason="accessDenied"
            )
            bigquery.fault(method="jobs.get", job_id="slow-2-", status=404, reason="notFound")
            cluster.coordinator()
            env = {"BIGQUERY_EMULATOR_HOST": bigquery.url, "PYDAG_WORKER_PROJECT": PROJECT}
            worker = cluster.celery_worker("-Q", "bigquery", wait=False, **env)
            cluster.wait_registered(worker, "bigquery")
            slow = {
                "task_id": "slow",
                "operator": "bigquery.query",
                "params": {"sql": f"CREATE TABLE {DATASET}.slow AS SELECT 1 AS id"},
                "timeout": 4,
                "retries": 1,
                "retry_delay": 0.1,
            }
            run = cluster.submit([*map(load, REFUSED), slow])
            snapshot = cluster.wait_ended(run)
            assert snapshot.state == "success"
            tries = {name: task.try_number for name, task in snapshot.tasks.items()}
            assert tries == {"load-404": 1, "load-401": 1, "load-403": 1, "slow": 2}
            jobs: dict[str, list[dict[str, Any]]] = {name: [] for name in tries}
            for job in sorted(bigquery.journal(), key=lambda job: job["started"]):
                for name in tries:
                    if f"pydag-{name}-" in job["id"]:
                        jobs[name].append(job)
            assert {name: [job["state"] for job in ran] for name, ran in jobs.items()} == {
                "load-404": ["done"],
                "load-401": ["done"],
                "load-403": ["done"],
                "slow": ["failed", "done"],
            }
            first, second = jobs["slow"]
            assert first["ended"] <= second["started"]
            for status in REFUSED:
                rows = client.list_rows(f"{DATASET}.people_{status}")
                assert sorted(row.id for row in rows) == [1, 2]
            assert any("notFound" in line.line for line in run.logs("load-404"))
            cluster.assert_nothing_left([run])
