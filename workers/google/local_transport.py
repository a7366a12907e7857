"""Sends Dataproc's clients to ``DATAPROC_EMULATOR_HOST``, which they know nothing of.

An iac script makes its own clients, with ``{region}-dataproc.googleapis.com:443`` and a key file;
only in its process, and only when the variable is set, every such client gets a plain channel to
the local service instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import grpc
from google.cloud import dataproc_v1

_CLIENTS = (
    dataproc_v1.ClusterControllerClient,
    dataproc_v1.JobControllerClient,
    dataproc_v1.BatchControllerClient,
    dataproc_v1.WorkflowTemplateServiceClient,
)


def redirect() -> None:
    """From here on, clients that are made in this process talk to the local service."""
    for client in _CLIENTS:
        transport = client.get_transport_class("grpc")
        transport.__init__ = _local(transport.__init__, os.environ["DATAPROC_EMULATOR_HOST"])  # type: ignore[method-assign]


def _local(init: Callable[..., None], host: str) -> Callable[..., None]:
    def local_init(self: Any, *, channel: Any = None, **options: Any) -> None:
        # A transport with a channel of its own neither looks for credentials nor uses any.
        init(self, channel=channel or grpc.insecure_channel(host), **options)

    return local_init
