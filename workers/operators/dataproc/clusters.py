"""What the operators of Dataproc's clusters share: how a cluster is named, asked for, deleted."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from google.api_core.exceptions import FailedPrecondition, NotFound
from google.cloud.dataproc_v1 import Cluster

from pydag_dist.dag.params.dataproc import ClusterParams
from workers.contract.answer import Handle
from workers.contract.context import TaskContext
from workers.google import clients, remote_ids
from workers.google.access import access_of, connection_and_project
from workers.process import until_redis_can

_REMEMBERED = 7 * 86400  # seconds
_SURE = 0.5  # seconds until a cluster that was not found is asked for again


def handle_of(context: TaskContext, params: ClusterParams) -> Handle:
    """What names the cluster."""
    return {
        **connection_and_project(
            context,
            f"Dataproc cluster {params.cluster_name}",
            params.connection,
            params.project,
            local=clients.local_dataproc() is not None,
        ),
        "region": params.region,
        "cluster_name": params.cluster_name,
    }


def name_of(handle: Handle) -> dict[str, str]:
    """How requests name it."""
    return {
        "project_id": handle["project"],
        "region": handle["region"],
        "cluster_name": handle["cluster_name"],
    }


def client_of(context: TaskContext, handle: Handle) -> clients.ClusterClient:
    """The client of its region."""
    return clients.cluster_client(access_of(context, handle), handle["region"])


def request_id(context: TaskContext) -> str:
    """By which Dataproc tells a request that is repeated from another one."""
    return remote_ids.of_try("request", context)


def note_place(context: TaskContext, handle: Handle) -> None:
    """Keep where this run makes the cluster, for a deletion that finds nothing."""
    key = _key_of_places(context)
    until_redis_can(partial(context.redis.sadd, key, " ".join(_place(handle))))
    until_redis_can(partial(context.redis.expire, key, _REMEMBERED))


def made_elsewhere(context: TaskContext, handle: Handle) -> str | None:
    """Another region or project in which this run made a cluster of that name, in words."""
    noted: Any = until_redis_can(partial(context.redis.smembers, _key_of_places(context)))
    name, *here = _place(handle)
    places = [rest for made in sorted(noted) for first, *rest in [made.split()] if first == name]
    if not places or here in places:
        return None
    region, project = places[0]
    return f"region {region} of project {project}"


def _place(handle: Handle) -> tuple[str, str, str]:
    return handle["cluster_name"], handle["region"], handle["project"]


def _key_of_places(context: TaskContext) -> str:
    return f"{context.key_prefix}:clusters:{context.run_id}"


def get(context: TaskContext, handle: Handle) -> Cluster | None:
    """The cluster as it is now, if there is one: that there is none is believed the second time."""
    client = client_of(context, handle)
    for pause in (_SURE, 0.0):
        try:
            return clients.call(
                context.log, client.get_cluster, request=name_of(handle), retry=None
            )
        except NotFound:
            time.sleep(pause)
    return None


def delete(context: TaskContext, handle: Handle, cluster: Cluster, **fields: Any) -> str | None:
    """Begin to delete this very cluster; the operation's name, None if nothing began."""
    client, name = client_of(context, handle), handle["cluster_name"]
    request = {**name_of(handle), "cluster_uuid": cluster.cluster_uuid, **fields}
    try:
        operation = clients.call(context.log, client.delete_cluster, request=request, retry=None)
    except NotFound:
        context.log.info("Dataproc cluster %s is gone already", name)
        return None
    except FailedPrecondition as error:  # it is being deleted
        context.log.info("%s", error.message)
        return None
    context.log.info("deleting Dataproc cluster %s", name)
    return str(operation.operation.name)


def operation(context: TaskContext, handle: Handle, name: str) -> Any:
    """A long-running operation as it is now."""
    client = client_of(context, handle)
    return clients.call(context.log, client.get_operation, request={"name": name}, retry=None)
