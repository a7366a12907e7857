"""A worker's parent: it joins the others, renews leases, and tells how its pool's processes end."""
