"""Dataproc on this machine: Google's gRPC API, with real Spark jobs behind it.

The official clients use it unmodified over an insecure channel. A cluster is only a record with a
state. A job or batch is a `spark-submit --master local[N]` in a session of its own. It goes on when
the service is killed, and the next service finds it again. What the service can't do, it refuses as
UNIMPLEMENTED.
"""
