"""BigQuery's operators and sensors of Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken

Made = tuple[str, dict[str, Any]]
_QUERY: Final[Mapping[str, str]] = {
    "writeDisposition": "write_disposition",
    "createDisposition": "create_disposition",
    "priority": "job_priority",
    "maximumBytesBilled": "maximum_bytes_billed",
    "useQueryCache": "use_query_cache",
    "schemaUpdateOptions": "schema_update_options",
}
_LOAD: Final[Mapping[str, str]] = {
    "sourceUris": "source_uris", "sourceFormat": "source_format", "autodetect": "autodetect",
    "writeDisposition": "write_disposition", "createDisposition": "create_disposition",
    "schemaUpdateOptions": "schema_update_options", "maxBadRecords": "max_bad_records",
    "ignoreUnknownValues": "ignore_unknown_values", "skipLeadingRows": "skip_leading_rows",
    "fieldDelimiter": "field_delimiter", "quote": "quote_character", "nullMarker": "null_marker",
    "allowQuotedNewlines": "allow_quoted_newlines", "allowJaggedRows": "allow_jagged_rows",
    "encoding": "encoding", "dateFormat": "date_format", "datetimeFormat": "datetime_format",
    "timeFormat": "time_format", "timestampFormat": "timestamp_format", "timeZone": "time_zone",
    "jsonExtension": "json_extension", "decimalTargetTypes": "decimal_target_types",
    "useAvroLogicalTypes": "use_avro_logical_types",
}  # fmt: skip
_EXTRACT: Final[Mapping[str, str]] = {
    "destinationUris": "destination_uris", "destinationFormat": "destination_format",
    "compression": "compression", "fieldDelimiter": "field_delimiter",
    "printHeader": "print_header", "useAvroLogicalTypes": "use_avro_logical_types",
}  # fmt: skip
_PROJECT: Final = "{{ params.project }}"


def common(a: Arguments, **params: Any) -> dict[str, Any]:
    """Params with those that all of Google's operators have; none that is not given."""
    connection = a.take("gcp_conn_id", "google_cloud_conn_id", "bigquery_conn_id")
    if connection not in {None, "google_cloud_default", "bigquery_default"}:
        params["connection"] = connection
    params["project"] = a.take("project_id", "gcp_project_id")
    params["labels"] = a.take("labels") or None
    a.ignore("deferrable", "poke_interval", "mode", "polling_interval_seconds", "poll_interval")
    return {name: value for name, value in params.items() if value is not None}


def place(a: Arguments) -> dict[str, Any]:
    """The params that all of BigQuery's operators have."""
    return common(a, location=a.take("location"))


def full_name(a: Arguments, name: str, project: Any = None) -> str:
    """``project.dataset.table``: with a param of the run if the file has no project."""
    parts = name.replace(":", ".", 1).split(".")
    if len(parts) >= 3 or name.startswith("{{"):
        return ".".join(parts)
    return f"{project or a.left.get('project_id') or _PROJECT}.{name}"


def _named(a: Arguments, table: Any) -> str:
    if isinstance(table, str):
        return full_name(a, table)
    if not isinstance(table, dict) or not {"datasetId", "tableId"} <= set(table):
        raise NotTaken("its table is known only when the file runs")
    return full_name(a, f"{table['datasetId']}.{table['tableId']}", table.get("projectId"))


def partitioning(given: Any) -> dict[str, Any] | None:
    """How a table is partitioned, by time."""
    if not given:
        return None
    if not isinstance(given, dict):
        raise NotTaken("its partitions are known only when the file runs")
    made = {"field": given.get("field"), "type": given.get("type", "DAY")}
    if given.get("expirationMs"):
        made["expiration_days"] = int(given["expirationMs"]) / 86_400_000
    made["require_filter"] = given.get("requirePartitionFilter")
    return {name: value for name, value in made.items() if value is not None}


def _ranges(given: Any) -> dict[str, Any] | None:
    if not isinstance(given, dict):
        return None
    ends = {name: int(given["range"][name]) for name in ("start", "end", "interval")}
    return {"field": given["field"], **ends}


def _fields(given: dict[str, Any], names: Mapping[str, str], *known: str) -> dict[str, Any]:
    """Fields of a job's configuration by our names; the rest by the names that BigQuery has."""
    rest = {name: value for name, value in given.items() if name not in known}
    made = {ours: rest.pop(name) for name, ours in names.items() if rest.get(name) is not None}
    ranges = _ranges(rest.pop("rangePartitioning", None))
    made["partition_by"] = partitioning(rest.pop("timePartitioning", None)) or ranges
    clustering = rest.pop("clustering", None)
    made["cluster_by"] = clustering.get("fields") if isinstance(clustering, dict) else None
    key = rest.pop("destinationEncryptionConfiguration", None)
    made["kms_key"] = key.get("kmsKeyName") if isinstance(key, dict) else None
    made["configuration"] = {name: value for name, value in rest.items() if value is not None}
    for name in ("maximum_bytes_billed", "max_bad_records", "skip_leading_rows"):
        if isinstance(made.get(name), str) and str(made[name]).isdecimal():
            made[name] = int(made[name])
    return {name: value for name, value in made.items() if value not in (None, [], {})}


def _insert_job(a: Arguments) -> Made:
    configuration = a.needs("configuration")
    a.ignore("force_rerun", "reattach_states", "cancel_on_kill", "result_retry")
    params = place(a)
    params["labels"] = configuration.get("labels") or params.get("labels")
    kinds = {"query": _query, "load": _load, "extract": _extract, "copy": _copy}
    for kind, make in kinds.items():
        if isinstance(configuration.get(kind), dict):
            operator, made = make(a, configuration[kind])
            return operator, {k: v for k, v in (params | made).items() if v is not None}
    raise NotTaken("its configuration is no query, load, extract or copy")


def sql_of(a: Arguments, given: Any) -> str:
    """The text of a query, as operators are given it."""
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        given = ";\n".join(given)
    if not isinstance(given, str):
        raise NotTaken("its SQL is known only when the file runs")
    if given.endswith(".sql"):
        a.note(f"its SQL is in the file {given}: put the text in place of the name")
    return given


def _query(a: Arguments, given: dict[str, Any]) -> Made:
    known = (
        "query", "destinationTable", "defaultDataset", "queryParameters", "parameterMode",
        "useLegacySql", "allowLargeResults",
    )  # fmt: skip
    params = {"sql": sql_of(a, given.get("query")), **_fields(given, _QUERY, *known)}
    if table := given.get("destinationTable"):
        params["destination"] = _named(a, table)
    if isinstance(default := given.get("defaultDataset"), dict):
        bare = full_name(a, f"{default.get('datasetId')}.x", default.get("projectId"))
        params["default_dataset"] = bare.removesuffix(".x")
    if given.get("useLegacySql") is True:
        a.note("it is legacy SQL: translate it to GoogleSQL")
    if parameters := given.get("queryParameters"):
        params["parameters"] = _parameters(parameters)
    return "bigquery.query", params


def _parameters(given: Any) -> Any:
    made = {
        str(each.get("name")): {
            "type": each["parameterType"]["type"],
            "value": each["parameterValue"]["value"],
        }
        for each in given
        if isinstance(each, dict) and "value" in each.get("parameterValue", {})
    }
    if len(made) != len(given) or "None" in made:
        raise NotTaken("its query parameters are no named ones of one value each")
    return made


def _load(a: Arguments, given: dict[str, Any]) -> Made:
    own = ("schema", "destinationTable", "hivePartitioningOptions", "parquetOptions")
    params = _fields(given, _LOAD, *own)
    if isinstance(hive := given.get("hivePartitioningOptions"), dict):
        found = {"mode": hive.get("mode"), "source_uri_prefix": hive.get("sourceUriPrefix")}
        params["hive_partitioning"] = {name: value for name, value in found.items() if value}
    if (given.get("parquetOptions") or {}).get("enableListInference"):
        params["enable_list_inference"] = True
    params["destination"] = _named(a, given.get("destinationTable"))
    if isinstance(schema := given.get("schema"), dict):
        params["table_schema"] = schema.get("fields")
    return "bigquery.load", params


def _extract(a: Arguments, given: dict[str, Any]) -> Made:
    params = _fields(given, _EXTRACT, "sourceTable")
    params["source"] = _named(a, given.get("sourceTable"))
    return "bigquery.extract", params


def _copy(a: Arguments, given: dict[str, Any]) -> Made:
    sources = given.get("sourceTables") or [given.get("sourceTable")]
    names = {k: v for k, v in _QUERY.items() if k.endswith("Disposition")}
    params = _fields(given, names, "sourceTables", "sourceTable", "destinationTable")
    return _copied(a, [_named(a, each) for each in sources], given["destinationTable"], params)


def _copied(a: Arguments, sources: list[str], destination: Any, params: dict[str, Any]) -> Made:
    made = {"sources": sources, "destination": _named(a, destination)}
    return "bigquery.copy", made | params


def _execute_query(a: Arguments) -> Made:
    given = {
        "query": a.needs("sql", "bql"),
        "destinationTable": a.take("destination_dataset_table"),
        "writeDisposition": a.take("write_disposition"),
        "createDisposition": a.take("create_disposition"),
        "priority": a.take("priority"),
        "maximumBytesBilled": a.take("maximum_bytes_billed"),
        "schemaUpdateOptions": a.take("schema_update_options"),
        "timePartitioning": a.take("time_partitioning"),
        "queryParameters": a.take("query_params"),
        "destinationEncryptionConfiguration": a.take("encryption_configuration"),
        "useLegacySql": a.take("use_legacy_sql", default=True),
    }
    cluster = a.take("cluster_fields")
    operator, params = _query(a, {**given, "clustering": {"fields": cluster}})
    a.ignore("allow_large_results", "flatten_results")
    if "destination" not in params:
        params.pop("write_disposition", None)
    return operator, place(a) | params


def _get_data(a: Arguments) -> Made:
    project = a.take("table_project_id")
    table = full_name(a, f"{a.needs('dataset_id')}.{a.needs('table_id')}", project)
    columns, most = a.take("selected_fields", default="*"), a.take("max_results", default=100)
    a.ignore("as_dict", "use_legacy_sql")
    a.note("the rows that it returned are first_rows of its result")
    sql = f"SELECT {columns} FROM `{table}` LIMIT {most}"  # noqa: S608  names
    rows = min(most, 1000) if isinstance(most, int) else 1000
    return "bigquery.query", place(a) | {"sql": sql, "rows": rows}


def _table_sensor(a: Arguments) -> Made:
    table = full_name(a, f"{a.needs('dataset_id')}.{a.needs('table_id')}", a.take("project_id"))
    return "bigquery.wait_table", place(a) | {"table": table}


def _partition_sensor(a: Arguments) -> Made:
    partition = a.needs("partition_id")
    operator, params = _table_sensor(a)
    return operator, params | {"partition": partition}


def _gcs_to_bigquery(a: Arguments) -> Made:
    bucket = a.needs("bucket")
    objects = a.needs("source_objects")
    objects = [objects] if isinstance(objects, str) else objects
    configuration = {
        "sourceUris": [f"gs://{bucket}/{each}" for each in objects],
        "destinationTable": a.needs("destination_project_dataset_table"),
        "schema": {"fields": a.take("schema_fields")},
        **{name: a.take(_snake(name)) for name in _LOAD if name not in {"sourceUris", "quote"}},
        "quote": a.take("quote_character"),
        "timePartitioning": a.take("time_partitioning"),
        "clustering": {"fields": a.take("cluster_fields")},
        "destinationEncryptionConfiguration": a.take("encryption_configuration"),
        **(a.take("src_fmt_configs") or {}),
        **(a.take("extra_config") or {}),
    }
    schema, holder = a.take("schema_object"), a.take("schema_object_bucket", default=bucket)
    configuration["writeDisposition"] = configuration["writeDisposition"] or "WRITE_EMPTY"
    has_schema = bool(configuration["schema"]["fields"] or schema)
    if configuration["autodetect"] is None and not has_schema:
        configuration["autodetect"] = True  # the operator's default
    if isinstance(form := configuration["sourceFormat"], str):
        configuration["sourceFormat"] = form.upper()
    operator, params = _load(a, configuration)
    if schema and not params.get("table_schema"):
        params["schema_uri"] = f"gs://{holder}/{schema}"
    if has_schema:
        params.pop("autodetect", None)
    if a.take("external_table"):
        raise NotTaken("it makes an external table: write it as SQL, CREATE EXTERNAL TABLE")
    a.ignore("google_cloud_storage_conn_id", "allow_quoted_newlines", "cancel_on_kill")
    a.ignore("force_delete", "reattach_states", "result_timeout", "result_retry")
    params = {name: value for name, value in params.items() if value is not None}
    return operator, place(a) | params


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _bigquery_to_gcs(a: Arguments) -> Made:
    configuration = {
        "sourceTable": a.needs("source_project_dataset_table"),
        "destinationUris": a.needs("destination_cloud_storage_uris"),
        "destinationFormat": a.take("export_format"),
        "compression": a.take("compression"),
        "fieldDelimiter": a.take("field_delimiter"),
        "printHeader": a.take("print_header"),
    }
    operator, params = _extract(a, configuration)
    return operator, place(a) | params


def _bigquery_to_bigquery(a: Arguments) -> Made:
    sources = a.needs("source_project_dataset_tables")
    sources = [sources] if isinstance(sources, str) else sources
    given = {
        "write_disposition": a.take("write_disposition", default="WRITE_EMPTY"),
        "create_disposition": a.take("create_disposition"),
    }
    params = {name: value for name, value in given.items() if value is not None}
    destination = a.needs("destination_project_dataset_table")
    tables = [full_name(a, each) for each in sources]
    operator, made = _copied(a, tables, destination, params)
    return operator, place(a) | made


BIGQUERY: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "BigQueryInsertJobOperator": _insert_job,
    "BigQueryExecuteQueryOperator": _execute_query,
    "BigQueryOperator": _execute_query,
    "BigQueryGetDataOperator": _get_data,
    "BigQueryTableExistenceSensor": _table_sensor,
    "BigQueryTableExistenceAsyncSensor": _table_sensor,
    "BigQueryTablePartitionExistenceSensor": _partition_sensor,
    "BigQueryTableExistencePartitionAsyncSensor": _partition_sensor,
    "GCSToBigQueryOperator": _gcs_to_bigquery,
    "GoogleCloudStorageToBigQueryOperator": _gcs_to_bigquery,
    "BigQueryToGCSOperator": _bigquery_to_gcs,
    "BigQueryToCloudStorageOperator": _bigquery_to_gcs,
    "BigQueryToBigQueryOperator": _bigquery_to_bigquery,
}
