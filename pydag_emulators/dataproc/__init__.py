"""Dataproc on this machine: Google's gRPC API, with real Spark jobs behind it.

The official clients talk to it unmodified over an insecure channel. A cluster is a record with a
state; a job or batch is a `spark-submit --master local[N]` in a session of its own, which goes on
when the service is killed and is found again by the next one. What the service can't do it
refuses as UNIMPLEMENTED.
"""
