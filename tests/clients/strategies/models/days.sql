{{ config(materialized='incremental', incremental_strategy='insert_overwrite', cluster_by='user',
   partition_by={'field': 'day', 'data_type': 'date'}) }}
select day, user, sum(amount) as amount from {{ ref('narrow') }}
{% if is_incremental() %} where day >= _dbt_max_partition {% endif %} group by day, user
