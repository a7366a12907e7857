{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['day', 'country'],
    partition_by={'field': 'day', 'data_type': 'date'},
    cluster_by=['country']
) }}
select day, country, count(*) as orders, sum(price) as total
from {{ ref('priced_orders') }}
{% if is_incremental() %}
where day = date '{{ var("day") }}'
{% endif %}
group by day, country
