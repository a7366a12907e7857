{{ config(materialized='table', event_time='day') }}
select * from {{ ref('events') }}
