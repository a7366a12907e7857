-- A database as the first version made it, with one run that was not over.
CREATE TABLE pydag_dags (
    hash TEXT NOT NULL, dag_id TEXT NOT NULL, dag TEXT NOT NULL, PRIMARY KEY (hash)
);
CREATE TABLE pydag_runs (
    run_id TEXT NOT NULL, dag_id TEXT NOT NULL, dag_hash TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT, error TEXT, submitted_at DOUBLE PRECISION, started_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION, logical_date TEXT, params TEXT, head TEXT NOT NULL,
    event BIGINT NOT NULL, planned INTEGER NOT NULL, PRIMARY KEY (run_id)
);
CREATE INDEX pydag_runs_submitted ON pydag_runs (submitted_at);
CREATE INDEX pydag_runs_dag ON pydag_runs (dag_id, submitted_at);
CREATE INDEX pydag_runs_ended ON pydag_runs (ended_at);
CREATE TABLE pydag_tries (
    run_id TEXT NOT NULL, task_id TEXT NOT NULL, try_number INTEGER NOT NULL, state TEXT NOT NULL,
    ready_at DOUBLE PRECISION, queued_at DOUBLE PRECISION, started_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION, worker TEXT, result TEXT, error TEXT, skips TEXT, expansions TEXT,
    event BIGINT NOT NULL, PRIMARY KEY (run_id, task_id, try_number)
);
CREATE TABLE pydag_meta (
    schema INTEGER NOT NULL, id TEXT NOT NULL, epoch TEXT, beat BIGINT NOT NULL,
    PRIMARY KEY (schema)
);
INSERT INTO pydag_meta VALUES (1, 'its own id', 'an epoch', 7);
INSERT INTO pydag_dags VALUES ('h', 'd', '{"dag_id": "d", "tasks": []}');
INSERT INTO pydag_runs VALUES (
    'r', 'd', 'h', 'running', NULL, NULL, 1, 2, NULL, NULL, '{}', '{"dag_id": "d"}', 10, 1
);
INSERT INTO pydag_tries VALUES (
    'r', 'a', 2, 'success', 1, 2, 3, 4, 'w', '5', NULL, NULL, NULL, 11
);
