{{ config(materialized='table') }}
select country, sum(total) as total, max(day) as last_day
from {{ ref('sales') }}
group by country
