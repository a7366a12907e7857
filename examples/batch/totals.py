"""Sums the sales of a day by shop: CSV files in, Parquet files out."""

import argparse

from pyspark.sql import SparkSession
from pyspark.sql.functions import sum as total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("destination")
    places = parser.parse_args()
    spark = SparkSession.builder.appName("totals").getOrCreate()
    sales = spark.read.csv(places.source, schema="shop STRING, amount LONG", header=True)
    totals = sales.groupBy("shop").agg(total("amount").alias("amount"))
    totals.coalesce(1).write.mode("overwrite").parquet(places.destination)
    print(f"{totals.count()} shops in {places.destination}")
    spark.stop()


if __name__ == "__main__":
    main()
