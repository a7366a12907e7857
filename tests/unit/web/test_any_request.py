"""Whatever is asked by whatever bytes: answers are those that OpenAPI says, and never a defect."""

from __future__ import annotations

import asyncio
import itertools
import os

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pydag_dist import Client, Dag
from pydag_dist.web.routing import ROLES
from tests.support.web import BASE, Web

# By each role in turn, and by nobody.
EXAMPLES = int(os.environ.get("PYDAG_TEST_EXAMPLES", "5"))
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "max_examples": EXAMPLES}


@pytest.fixture
def web(installation, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    with Dag("d", schedule_interval=3600) as dag:
        dag.task("a", "python.call", params={"callable": "m:f"})
    Client().publish(dag)
    Client().submit(dag, run_id="r")
    installation.plan("r")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "d.json").write_text(dag.to_json())
    return Web(mode="tokens", requests_per_second=1e6, files=tmp_path / "dags")


def operations(web):
    import schemathesis  # half a second, also for whoever runs other tests

    return schemathesis.openapi.from_dict(web.app.app.openapi()).get_all_operations()


@pytest.mark.big
def test_any_request_is_answered_as_documented(web):
    secrets = [web.site.tokens.add(role, role, "test") for role in ROLES]
    asked = itertools.cycle([*secrets, "nobody's"])
    wrong, statuses = [], set()
    for result in operations(web):
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(phases=[Phase.generate], **QUICK)
        def each(case):
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {next(asked)}"}
            try:
                statuses.add(asyncio.run(answered(web, case)))
            except AssertionError as error:
                wrong.append(f"{case.method} {case.formatted_path}: {error}")
            except BaseExceptionGroup as error:
                wrong.append(f"{case.method} {case.formatted_path}: {error.exceptions}")

        each()
    assert wrong == []
    assert {200, 401, 403, 404, 422} <= statuses


def who_leaves(app):
    """The app for a client that closes its connection as soon as it is answered: for streams."""

    async def asked(scope, receive, send):
        request, begun, complete = [await receive()], asyncio.Event(), False

        async def then_gone():
            if request:
                return request.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def sent(message):
            nonlocal complete
            begun.set()
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        await app(scope, then_gone, sent)
        if not complete:
            await send({"type": "http.response.body"})

    return asked


def test_what_is_there_is_answered_as_documented(web):
    known = {"run_id": "r", "dag_id": "d", "task": "a", "path": "d.json"}
    secret = web.site.tokens.add("admin", "admin", "test")
    statuses = {}
    for result in operations(web):
        operation = result.ok()
        names = {each.name for each in operation.path_parameters}
        if operation.method == "get" and names <= known.keys():
            case = operation.Case(path_parameters={name: known[name] for name in names})
            case.headers = {"Authorization": f"Bearer {secret}"}
            statuses[operation.path] = asyncio.run(answered(web, case))
    incomplete = {path for path, status in statuses.items() if status != 200}
    assert incomplete == {"/api/v1/names", "/api/v1/dags/{dag_id}/backfills/preview"}
    assert len(statuses) > 30


async def answered(web, case):
    """Send it, and hold the answer against the document."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.transport import Response
    from schemathesis.specs.openapi import checks

    told = case.as_transport_kwargs(base_url=BASE)
    app = who_leaves(web.app) if case.path.endswith("/events") else web.app
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        answer = await client.request(
            told["method"],
            told["url"],
            params=told.get("params"),
            headers=dict(told.get("headers") or {}),
            json=told.get("json"),
        )
    told_right = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    case.validate_response(Response.from_any(answer), checks=told_right)
    return answer.status_code
