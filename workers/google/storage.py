"""What the operators of Cloud Storage share: names, clients, lists, and many objects at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Client

from workers.contract.context import TaskContext
from workers.google import clients
from workers.google.access import access_to

_AT_A_TIME = 8  # calls of one task; the client keeps ten connections
_PAGE = 1000

T = TypeVar("T")
R = TypeVar("R")


class Uri(NamedTuple):
    """gs://bucket/name."""

    bucket: str
    name: str

    @classmethod
    def of(cls, text: str) -> Uri:
        """The parts of a text that the params have checked."""
        bucket, _, name = text.removeprefix("gs://").partition("/")
        return cls(bucket, name)

    @property
    def is_folder(self) -> bool:
        """Whether it stands for all objects below."""
        return not self.name or self.name.endswith("/")

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}"


def client_of(context: TaskContext, connection: str | None) -> Client:
    """The client of a connection."""
    return clients.storage_client(access_to(context.settings, connection))


def blobs(context: TaskContext, client: Client, bucket: str, **options: Any) -> Iterator[Blob]:
    """The objects of a bucket that `Client.list_blobs` finds with `options`, by name."""
    token: str | None = ""

    def page(timeout: float) -> tuple[list[Blob], str | None]:
        found = client.list_blobs(
            bucket,
            page_size=_PAGE,
            page_token=token or None,
            timeout=timeout,
            retry=None,
            **options,
        )
        return list(next(found.pages, ())), found.next_page_token

    while token is not None:
        found, token = clients.call(context.log, page)
        yield from found


def files(found: Iterable[Blob]) -> Iterator[Blob]:
    """Without folder markers, by which consoles show empty folders: names that end in /."""
    return (blob for blob in found if not blob.name.endswith("/"))


def blob_at(context: TaskContext, client: Client, uri: Uri) -> Blob | None:
    """The object as it is now, if there is one."""
    return clients.call(context.log, client.bucket(uri.bucket).get_blob, uri.name, retry=None)


def has_content(blob: Blob | None, crc32c: str, size: int) -> bool:
    """Whether there is an object with that content."""
    return blob is not None and (blob.crc32c, blob.size) == (crc32c, size)


def content(context: TaskContext, blob: Blob) -> bytes | None:
    """What the object had in it when it was found; None if it was replaced since."""
    try:
        data: bytes = clients.call(context.log, blob.download_as_bytes, retry=None)
    except NotFound:
        return None
    return data


def each(
    things: Iterable[T], do: Callable[[T, threading.Event], R], take: Callable[[R], object]
) -> None:
    """Call `do` for all things, several at a time, and `take` with each result in this thread.

    The first error ends the rest, as does an exception that stops this thread: then the event that
    `do` gets is set.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(_AT_A_TIME, "pydag-gcs") as pool:
        try:
            for page in sliced(things, _PAGE):
                for result in pool.map(lambda thing: do(thing, stop), page):
                    take(result)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def sliced(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` of the things."""
    iterator = iter(things)
    while part := list(islice(iterator, size)):
        yield part
