{{ config(materialized='incremental', unique_key='id', on_schema_change='sync_all_columns', merge_exclude_columns=['user']) }}
select id, user {% if is_incremental() %}, day {% endif %} from {{ ref('narrow') }}
