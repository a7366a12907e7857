"""A local BigQuery: the REST API v2 as the official client uses it, on DuckDB and sqlglot.

```
rest/         HTTP: one module per resource, errors in Google's shape, faults for tests
service.py    what lives as long as the process
work/         what a job of each kind does: query, load, extract
statements/   what each kind of SQL statement does in its transaction
files/        the files that are loaded and extracted, by format
jobs/         what a job is; how jobs are run, each in a thread with a cursor of its own
storage/      the DuckDB file: datasets, tables, rows; a job's end is written with its effect
sql/          GoogleSQL to DuckDB: parameters, functions, macros
names.py, schema.py, errors.py   names of tables, types of columns, Google's errors
```

Each part uses those below it. What the service cannot do, it refuses with an error 501
(`notImplemented`); it never gives a wrong answer.
"""
