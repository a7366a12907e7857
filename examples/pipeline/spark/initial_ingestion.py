"""Reads a CSV file from Cloud Storage and replaces a BigQuery table with it."""

import argparse
import json

from pyspark.sql import SparkSession

SCHEMA = "id LONG, category STRING, lastdate DATE"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--params", type=json.loads, required=True)
    params = parser.parse_args().params

    spark = SparkSession.builder.appName(params["id"]).getOrCreate()
    source = "gs://{bucket}/{folder}/{file_name}".format(**params)
    rows = spark.read.csv(source, schema=SCHEMA, header=True, mode="FAILFAST")
    (
        rows.write.format("bigquery")
        .option("table", "{project_name}.{dataset}.{destination_table}".format(**params))
        .option("temporaryGcsBucket", params["temporarygcsbucket"])
        .mode("overwrite")
        .save()
    )
    print(f"{params['id']}: {source} is in {params['destination_table']}")
    spark.stop()


if __name__ == "__main__":
    main()
