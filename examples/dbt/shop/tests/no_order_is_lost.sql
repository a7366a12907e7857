select 1
from (select sum(orders) as counted from {{ ref('sales') }}) as s
where s.counted != (select count(*) from {{ ref('orders') }})
