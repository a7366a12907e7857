"""The calls about buckets, and about objects without their content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from pydag_emulators.gcs import copies, resources
from pydag_emulators.gcs.conditions import check_of, check_of_bucket, check_tag
from pydag_emulators.gcs.errors import invalid, unimplemented
from pydag_emulators.gcs.storage.objects import Object, Objects


@dataclass(frozen=True)
class Call:
    """A request; `names` are those of the buckets and objects in its path."""

    objects: Objects
    names: Sequence[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    base: str  # the service's own address

    @property
    def path(self) -> tuple[str, str]:
        """The bucket and the name of the object that it is about."""
        return self.names[0], self.names[1]

    def found(self) -> Object:
        """That object."""
        return self.objects.get(*self.path, self.query.get("generation"))


def answer(
    objects: Objects, request: Request, path: Sequence[str], body: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The JSON of an answer, None if it has none; `path` is what follows ``/storage/v1/b``."""
    shape, names = ["b"], []
    for part in path:
        if shape[-1] in ("b", "o"):
            names.append(part)
            shape.append("*")
        else:
            shape.append(part)
    known = _CALLS.get(f"{request.method} {'/'.join(shape)}")
    if known is None:
        raise unimplemented(f"{request.method} {request.url.path}")
    query, headers = request.query_params, request.headers
    call = Call(objects, names, query, headers, body, base_of(request))
    result = known(call)
    return resources.of_object(result, call.base) if isinstance(result, Object) else result


def base_of(request: Request) -> str:
    """The service's own address, as the client knows it."""
    return str(request.base_url).rstrip("/")


def _make_bucket(call: Call) -> dict[str, Any]:
    known = resources.settable_of_bucket(call.body)
    made = call.objects.buckets.make(str(call.body.get("name", "")), known)
    return resources.of_bucket(made, call.base)


def _change_bucket(call: Call) -> dict[str, Any]:
    changes = resources.settable_of_bucket(call.body)
    if "location" in changes:
        raise invalid("The location of a bucket can't be changed")
    if call.body.get("labels", {}) is None:
        raise unimplemented("labels that are null: delete them one by one")
    check = check_of_bucket(call.query)
    return resources.of_bucket(
        call.objects.buckets.change(call.names[0], changes, check), call.base
    )


def _buckets(call: Call) -> dict[str, Any]:
    prefix = call.query.get("prefix", "")
    names = [name for name in call.objects.buckets.all() if name.startswith(prefix)]
    page, token = resources.page_of([(name, False) for name in names], call.query)
    items = [resources.of_bucket(call.objects.buckets.get(name), call.base) for name, _ in page]
    return {"kind": "storage#buckets", "items": items, **token}


def _bucket(call: Call) -> dict[str, Any]:
    found = call.objects.buckets.get(call.names[0])
    check_of_bucket(call.query, read=True)(int(found.get("metageneration", 1)))
    return resources.of_bucket(found, call.base)


def _drop_bucket(call: Call) -> None:
    call.objects.buckets.drop(call.names[0], check_of_bucket(call.query))


def _list(call: Call) -> dict[str, Any]:
    return resources.listing(call.objects, call.names[0], call.query, call.base)


def _get(call: Call) -> Object:
    found = call.found()
    check_of(call.query, read=True)(found)
    check_tag(call.headers, resources.tag_of(found))
    return found


def _patch(call: Call) -> Object:
    changes = resources.settable(call.body)
    return call.objects.patch(call.found(), changes, check_of(call.query))


def _update(call: Call) -> Object:
    changes = resources.settable(call.body)
    return call.objects.patch(call.found(), changes, check_of(call.query), replaces=True)


def _delete(call: Call) -> None:
    call.objects.delete(*call.path, call.query.get("generation"), check_of(call.query))


def _rewrite(call: Call) -> dict[str, Any]:
    rewrite = copies.Rewrite(call.objects, call.names, call.query, call.body)
    made = rewrite.go_on()
    return rewrite.answer(resources.of_object(made, call.base) if made else None)


def _copy(call: Call) -> Object:
    return copies.copy(call.objects, call.names, call.query, call.body)


def _move(call: Call) -> Object:
    source = copies.source_of(call.objects, call.names, call.query)
    return call.objects.move(source, call.names[2], check_of(call.query))


def _compose(call: Call) -> Object:
    return copies.compose(call.objects, *call.path, call.query, call.body)


_CALLS: dict[str, Callable[[Call], Object | dict[str, Any] | None]] = {
    "GET b": _buckets,
    "POST b": _make_bucket,
    "GET b/*": _bucket,
    "PATCH b/*": _change_bucket,
    "DELETE b/*": _drop_bucket,
    "GET b/*/o": _list,
    "GET b/*/o/*": _get,
    "PATCH b/*/o/*": _patch,
    "PUT b/*/o/*": _update,
    "DELETE b/*/o/*": _delete,
    "POST b/*/o/*/rewriteTo/b/*/o/*": _rewrite,
    "POST b/*/o/*/copyTo/b/*/o/*": _copy,
    "POST b/*/o/*/moveTo/o/*": _move,
    "POST b/*/o/*/compose": _compose,
}
