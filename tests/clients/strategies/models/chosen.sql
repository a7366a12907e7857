{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitions=["date '2026-01-02'"],
   partition_by={'field': 'day', 'data_type': 'date'}) }}
select day, user from {{ ref('narrow') }} {% if is_incremental() %} where day = '2026-01-02' {% endif %}
