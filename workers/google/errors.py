"""What an error of Google's services means: whether it passes, whether it is final, what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import requests.exceptions
from google.api_core import exceptions
from google.auth.exceptions import (
    DefaultCredentialsError,
    GoogleAuthError,
    RefreshError,
    TransportError,
)

_TRANSIENT = (
    exceptions.TooManyRequests,
    exceptions.Aborted,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    json.JSONDecodeError,  # the page of a proxy in the place of an answer
    TransportError,
    ConnectionError,
)
_TIMEOUT, _SERVER, _UNIMPLEMENTED = 408, 500, 501
# BigQuery says some of these with status 400 or 403. Of a job that has ended they mean that another
# one may do. https://cloud.google.com/bigquery/docs/error-messages
TRANSIENT_REASONS = frozenset(
    {
        "rateLimitExceeded", "backendError", "internalError", "badGateway", "tableUnavailable",
        "jobBackendError", "jobInternalError", "jobRateLimitExceeded",
    }
)  # fmt: skip

# BigQuery's errors that another try of the same job would meet again. No others: rights may have
# been given a minute ago, quotas pass, and Dataproc says both with INVALID_ARGUMENT.
_FINAL_REASONS = frozenset(
    {"bytesBilledLimitExceeded", "duplicate", "invalidQuery", "notFound", "responseTooLarge"}
)
_MISSING = re.compile("Not found: (Dataset|Model|Project|Routine|Table) ")  # no file, no job
# Of `invalidQuery` only what is wrong with the text itself, of which BigQuery tells the place. What
# a query meets while it runs (a division by zero, a concurrent update) depends on the data.
_OF_TEXT = re.compile(r"^(Syntax error|Unrecognized name)| at \[\d+:\d+\]\s*$")
_AT_RUN_TIME = ("Query error:", "concurrent update", "streaming buffer", "Assertion failed")

# What gRPC says when there was no token for a call; the error itself is in the text.
_NO_TOKEN = "Getting metadata from plugin failed with error"  # noqa: S105  no password
# OAuth's codes of errors that pass (RFC 6749); all others don't.
_PASSING_CODES = frozenset({"server_error", "temporarily_unavailable", "internal_failure"})
_LASTING_CODES = (
    "invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "access_denied",
    "PERMISSION_DENIED", "Reauthentication is needed",
)  # fmt: skip

# What to do about an error, where its own message doesn't say so.
_ADVICE = {
    "accessDenied": (
        "give the worker's account roles/bigquery.jobUser in the project of the job, and "
        "dataViewer or dataEditor on the datasets"
    ),
    "bytesBilledLimitExceeded": "read less, by partitions, or raise maximum_bytes_billed",
    "billingNotEnabled": "enable billing for the project",
    "forbidden": "give the worker's account roles/storage.objectUser on the bucket",
    "PERMISSION_DENIED": (
        "give the worker's account roles/dataproc.editor in the project, and "
        "roles/iam.serviceAccountUser on the service account that the cluster or batch runs as"
    ),
    "resourcesExceeded": (
        "see https://cloud.google.com/bigquery/docs/troubleshoot-queries#ts-resources-exceeded"
    ),
    "responseTooLarge": "name a destination table, or drop ORDER BY",
    "quotaExceeded": "see https://cloud.google.com/bigquery/docs/troubleshoot-quotas",
}
# Likewise about credentials, by what their error says.
_CREDENTIALS = {
    "Token must be a short-lived token": "set the clock of the worker's host",
    "invalid_grant": (
        "the key or the login was revoked, or its account was deleted or disabled: give the "
        "worker's connection a new key_file, or log in again"
    ),
    "Reauthentication is needed": "log in again: gcloud auth application-default login",
    "etadata server": (
        "the metadata server of the worker's machine, which gives it its tokens, does not answer: "
        "look at that machine and its network"
    ),
    "metadata.google.internal": (
        "the metadata server of the worker's machine has no token for it: give the machine a "
        "service account, or the worker's connection a key_file"
    ),
    "impersonated": (
        "give the worker's own account roles/iam.serviceAccountTokenCreator on the account that "
        "its connection impersonates"
    ),
}
_NO_CREDENTIALS = (
    "give the worker a connection with a key_file, or ambient credentials; on a machine of "
    "Google's, see whether it has a service account and its metadata server answers"
)


def transient(error: BaseException) -> bool:
    """Whether an error of Google's or of the network may pass."""
    if isinstance(error, _TRANSIENT):
        # Of these a wrong certificate doesn't pass.
        return not isinstance(error, requests.exceptions.SSLError)
    if isinstance(error, GoogleAuthError):
        return _token_may_come(error)
    if not isinstance(error, exceptions.GoogleAPICallError):
        return False
    if _NO_TOKEN in str(error.message):
        return not any(code in error.message for code in _LASTING_CODES)
    code = int(error.code or 0)
    of_server = code >= _SERVER or isinstance(error, exceptions.ServerError)
    if code == _TIMEOUT or (of_server and code != _UNIMPLEMENTED):
        return True
    first = error.errors[0] if error.errors else None
    return isinstance(first, dict) and str(first.get("reason")) in TRANSIENT_REASONS


def about_credentials(error: BaseException) -> bool:
    """Whether an error is that there was no token for a call."""
    if isinstance(error, exceptions.GoogleAPICallError):
        return _NO_TOKEN in str(error.message)
    return isinstance(error, GoogleAuthError)


def _token_may_come(error: GoogleAuthError) -> bool:
    """Whether whoever gives tokens could not do so just now, or never will."""
    if error.retryable or isinstance(error.__cause__, TransportError):
        return True
    if not isinstance(error, RefreshError):
        return False
    for part in error.args:
        if isinstance(part, Exception):
            return transient(part)
        if (found := _as_object(part)) is None:
            continue
        return _passes(found.get("error"))
    text = " ".join(map(str, error.args))
    # Else what came back is not from the token service, but from something on the way to it.
    return len(error.args) > 1 or "<" in text


def _passes(answer: object) -> bool:
    """Whether the answer of a token service means that its error may pass."""
    if not isinstance(answer, dict):
        return answer is None or str(answer) in _PASSING_CODES
    code = answer.get("code")  # of an API, as when an account is impersonated
    if isinstance(code, int):
        return code in (_TIMEOUT, 429) or code >= _SERVER
    return not any(lasting in str(answer) for lasting in _LASTING_CODES)


def _as_object(part: object) -> dict[str, Any] | None:
    if isinstance(part, str):
        try:
            part = json.loads(part)
        except ValueError:
            return None
    return part if isinstance(part, dict) else None


def explain(error: exceptions.GoogleAPICallError) -> str:
    """Reason, location and message of an error, as far as it has them."""
    if about_credentials(error):
        return explain_credentials(error)
    details = error.errors[0] if error.errors else None
    if isinstance(details, dict) and details.get("message"):
        return explain_details(details)
    code = error.grpc_status_code.name if error.grpc_status_code else error.code
    name = str(getattr(code, "name", code))
    return f"{name}: {error.message}{_advice(name)}"


def explain_details(details: dict[str, Any]) -> str:
    """The same of an error as the REST API writes one, and what to do about it."""
    reason, message = str(details.get("reason", "error")), str(details.get("message", ""))
    location = f" at {details['location']}" if details.get("location") else ""
    advice = _advice(reason)
    if reason == "notFound" and " in location " in message:
        advice = " (if it is elsewhere, set location in the task, the connection or the worker)"
    return f"{reason}{location}: {message}{advice}"


def is_final(details: object) -> bool:
    """Whether another try of a BigQuery job would meet that error again.

    `details` is the error as the REST API writes one. A missing table is final, since a task that
    waits for one is `bigquery.wait_table`; a missing object of Cloud Storage is not.
    """
    if not isinstance(details, dict) or str(details.get("reason")) not in _FINAL_REASONS:
        return False
    message = str(details.get("message", ""))
    if details["reason"] == "notFound":
        return bool(_MISSING.match(message))
    if details["reason"] != "invalidQuery":
        return True
    return bool(_OF_TEXT.search(message)) and not any(text in message for text in _AT_RUN_TIME)


def explain_credentials(error: Exception) -> str:
    """Why there is no token, and what to do about it."""
    text = one_line(error)
    if isinstance(error, DefaultCredentialsError):
        return f"no credentials ({text}): {_NO_CREDENTIALS}"
    advice = next((do for mark, do in _CREDENTIALS.items() if mark in text), _NO_CREDENTIALS)
    return f"the credentials do not work ({text}): {advice}"


def _advice(reason: str) -> str:
    return f" ({_ADVICE[reason]})" if reason in _ADVICE else ""


def one_line(error: object) -> str:
    """An error's kind and text."""
    return " ".join(f"{type(error).__name__}: {error}".split())
