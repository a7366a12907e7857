-- The state of the local Dataproc. Bodies are serialised messages of the public API.

CREATE TABLE IF NOT EXISTS clusters (
    project   TEXT NOT NULL,
    region    TEXT NOT NULL,
    name      TEXT NOT NULL,
    body      BLOB NOT NULL,  -- Cluster, in the state of the last change that was asked for
    settles   REAL NOT NULL,  -- epoch seconds at which CREATING becomes RUNNING, DELETING nothing
    PRIMARY KEY (project, region, name)
);

CREATE TABLE IF NOT EXISTS jobs (
    sequence  INTEGER PRIMARY KEY,  -- order of submission
    project   TEXT NOT NULL,
    region    TEXT NOT NULL,
    id        TEXT NOT NULL,
    body      BLOB NOT NULL,     -- Job
    active    INTEGER NOT NULL,  -- 1 until its state is a final one
    ran       INTEGER NOT NULL,  -- 1 once its spark-submit was started
    journaled INTEGER NOT NULL,  -- 1 once its line is in the journal
    operation TEXT NOT NULL,     -- the last part of its long-running operation's name
    UNIQUE (project, region, id)
);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (active, journaled);
CREATE INDEX IF NOT EXISTS jobs_operation ON jobs (operation);

-- A batch is carried out by a job without a cluster, and its state is that job's.
CREATE TABLE IF NOT EXISTS batches (
    sequence  INTEGER PRIMARY KEY,  -- order of creation
    project   TEXT NOT NULL,
    region    TEXT NOT NULL,
    id        TEXT NOT NULL,
    body      BLOB NOT NULL,  -- Batch, without what follows from its job
    job       TEXT NOT NULL,  -- the job's id
    UNIQUE (project, region, id),
    UNIQUE (project, region, job)
);

-- Operations of clusters; a job's or batch's operation is computed from the job.
CREATE TABLE IF NOT EXISTS operations (
    name    TEXT PRIMARY KEY,  -- projects/P/regions/R/operations/UUID
    body    BLOB NOT NULL,     -- google.longrunning.Operation as it is when it has ended
    settles REAL NOT NULL      -- epoch seconds of its end
);

-- What a request_id led to: the name of an operation, or the id of a job or batch.
CREATE TABLE IF NOT EXISTS requests (
    kind    TEXT NOT NULL,
    project TEXT NOT NULL,
    region  TEXT NOT NULL,
    id      TEXT NOT NULL,
    target  TEXT NOT NULL,
    PRIMARY KEY (kind, project, region, id)
);

CREATE TABLE IF NOT EXISTS templates (
    project TEXT NOT NULL,
    region  TEXT NOT NULL,
    id      TEXT NOT NULL,
    body    BLOB NOT NULL,  -- WorkflowTemplate
    PRIMARY KEY (project, region, id)
);

CREATE TABLE IF NOT EXISTS workflows (
    sequence  INTEGER PRIMARY KEY,   -- order of instantiation
    operation TEXT UNIQUE NOT NULL,  -- projects/P/regions/R/operations/UUID
    request   TEXT NOT NULL,         -- its request_id, or nothing
    template  BLOB NOT NULL,         -- WorkflowTemplate, its parameters filled in
    body      BLOB NOT NULL,         -- WorkflowMetadata
    error     TEXT NOT NULL,         -- why it failed, or nothing
    cancelled INTEGER NOT NULL,      -- 1 once its cancellation was asked for
    active    INTEGER NOT NULL       -- 1 until it has ended
);
