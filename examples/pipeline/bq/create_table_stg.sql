-- A staging table, empty at the start of every run.
CREATE OR REPLACE TABLE `{project}.{dataset}.{table}` ({columns})
