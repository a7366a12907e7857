{{ config(materialized='table', post_hook="alter table {{ this }} set options (friendly_name = 'hooked')") }}
select id, struct(id as a) as box from {{ ref('narrow') }}
