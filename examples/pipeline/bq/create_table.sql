-- The final table, empty at the start of every run.
CREATE OR REPLACE TABLE `{project}.{dataset}.{table}` ({columns})
PARTITION BY {partitioncolumn}
CLUSTER BY {clustercolumn}
