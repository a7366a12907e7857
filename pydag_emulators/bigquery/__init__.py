"""A local BigQuery: the REST API v2 as the official client uses it, on DuckDB and sqlglot.

```
rest/        HTTP: one module per resource, errors in Google's shape, faults for tests
jobs.py      what a job is; runner.py runs them, each in a thread with a cursor of its own
query.py     a query job: scripts, SELECT, DML, DDL      load.py, extract.py   files
sql/         GoogleSQL to DuckDB: tables, parameters, functions, DDL
catalog.py   datasets and tables        schema.py, rows.py   types and cells
store.py     the DuckDB file: transactions, and the record of jobs in the same transaction
```

What it cannot do is an error 501 (`notImplemented`), never a wrong answer.
"""
