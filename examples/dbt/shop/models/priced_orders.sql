select o.id, o.day, o.price, c.country
from {{ ref('orders') }} as o
join {{ ref('customers') }} as c on c.id = o.customer
