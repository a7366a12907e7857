"""The answers to calls that the service refuses."""

from __future__ import annotations

import grpc


class Refused(Exception):
    """A gRPC status instead of an answer, worded as Google words it where that is known."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(what: str) -> Refused:
    """`what` names a thing with its project and region."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"Not found: {what}")


def already_exists(what: str) -> Refused:
    """`what` names a thing with its project and region."""
    return Refused(grpc.StatusCode.ALREADY_EXISTS, f"Already exists: {what}")


def invalid(message: str) -> Refused:
    """The request itself is wrong."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> Refused:
    """The thing is in a state that forbids the call."""
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(what: str) -> Refused:
    """The call is right, but this service can't do it."""
    return Refused(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{what} is not implemented by the local Dataproc: run it against Google's",
    )
