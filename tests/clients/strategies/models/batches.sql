{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='day', batch_size='day',
   begin='2026-01-01', partition_by={'field': 'day', 'data_type': 'date', 'granularity': 'day'}) }}
select day, user from {{ ref('timed') }}
