"""What errors of Google's services, and of those that give tokens, mean."""

from __future__ import annotations

import json

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google.answers import asking, explained
from workers.google.errors import about_credentials, transient

NO_TOKEN = "Getting metadata from plugin failed with error: "
REVOKED = RefreshError("invalid_grant: Invalid JWT Signature.", {"error": "invalid_grant"})
METADATA = RefreshError(TransportError("Compute Engine Metadata server unavailable"))
PAGE = "<html><title>502 Bad Gateway</title></html>"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.GatewayTimeout("504"),
        exceptions.Unknown("gRPC knows no better"),
        exceptions.Aborted("another operation"),
        exceptions.from_http_status(520, "of a proxy"),
        exceptions.from_http_status(408, "late"),
        exceptions.ServiceUnavailable(f"{NO_TOKEN}{METADATA}"),
        requests.exceptions.JSONDecodeError("Expecting value", PAGE, 0),
        TransportError("no route"),
        METADATA,
        RefreshError("503", {"error": "x"}, retryable=True),
        RefreshError({"error": "server_error"}, {"error": "server_error"}),
        RefreshError(PAGE),
        RefreshError("Unable to acquire impersonated credentials", PAGE),
        RefreshError("Unable to acquire impersonated credentials", '{"error": {"code": 503}}'),
        RefreshError("Unable to acquire impersonated credentials", '{"error": {"code": 429}}'),
        RefreshError("no number", '{"error": {"code": "UNAVAILABLE"}}'),
    ],
)
def test_what_may_pass(error):
    assert transient(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.MethodNotImplemented("501"),
        exceptions.Unauthorized("401"),
        exceptions.NotFound("404"),
        exceptions.ServiceUnavailable(f"{NO_TOKEN}{REVOKED}"),
        requests.exceptions.SSLError("certificate"),
        REVOKED,
        RefreshError("The credentials do not contain the necessary fields"),
        RefreshError("Unable to acquire impersonated credentials", '{"error": {"code": 403}}'),
        RefreshError("no number", '{"error": {"code": "PERMISSION_DENIED"}}'),
        RefreshError("a list", {"error": ["x"]}),
        RefreshError(),
        RefreshError(None),
        exceptions.GoogleAPICallError(None),
        exceptions.Forbidden("no text", errors=[{"reason": ["a"]}]),
        exceptions.Forbidden("no object", errors=["x"]),
        DefaultCredentialsError("none"),
        KeyError("ours"),
    ],
)
def test_what_lasts(error):
    assert not transient(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NotFound("no job"),
        exceptions.Unauthorized("401"),
        exceptions.Forbidden("403"),
        exceptions.BadRequest("400"),
        REVOKED,
        DefaultCredentialsError("none"),
        TaskFailed("connection OTHER is not defined on this worker"),
        KeyError("jobReference"),
        AttributeError("no state"),
    ],
)
def test_no_error_of_a_question_says_that_a_job_has_ended(error):
    said = r"^cancelling: .* \(job j\)$"
    with pytest.raises(RemoteStateUnknown, match=said) as unknown, asking("cancelling", of="job j"):
        raise error
    assert unknown.value.lasting


def test_what_passes_by_itself_has_no_end():
    with pytest.raises(RemoteStateUnknown) as unknown, asking("job j"):
        raise RemoteStateUnknown("no answer in 10 s")
    assert not unknown.value.lasting


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (REVOKED, "the key or the login was revoked, or its account was deleted"),
        (
            exceptions.ServiceUnavailable(f"{NO_TOKEN}{REVOKED}"),
            "the key or the login was revoked, or its account was deleted",
        ),
        (METADATA, "the metadata server of the worker's machine, .* does not answer: look at"),
        (
            RefreshError("invalid_grant: Token must be a short-lived token (60 minutes)"),
            "set the clock of the worker's host",
        ),
        (
            RefreshError("Unable to acquire impersonated credentials", '{"error": {"code": 403}}'),
            "roles/iam.serviceAccountTokenCreator on the account that its connection impersonates",
        ),
        (DefaultCredentialsError("none"), "give the worker a connection with a key_file"),
    ],
)
def test_an_error_of_credentials_says_what_to_do(error, advice):
    with pytest.raises(TaskFailed, match=advice) as failed, explained(of="job j"):
        raise error
    assert str(failed.value).endswith(" (job j)")
    assert about_credentials(error)


def test_a_refusal_is_not_taken_for_a_lack_of_credentials():
    body = json.dumps({"error": {"message": "invalid_grant"}})
    assert not about_credentials(exceptions.Forbidden(body))
