{{ config(materialized='view') }}
select id, user, day, amount from {{ ref('events') }}
