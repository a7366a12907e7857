"""Keeps pages of other sites out of our own web pages, which ask nobody for a password.

A page of any site can make the user's browser send requests to an address that only the user can
reach. A POST of plain text is sent without asking the service first, so it would be carried out,
whatever the page may read of the answer. Browsers tell of such a page in `Origin` and
`Sec-Fetch-Site`. A page whose own name was made to mean 127.0.0.1 ("DNS rebinding") is in `Host`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_THIS_MACHINE = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def refusal(headers: Iterable[tuple[str, str]], *, any_host: bool = False) -> str | None:
    """Why a request must not be answered; None if it may be: it is of a page of ours, or of none.

    `any_host`: the service listens on an address that others reach by whatever name.
    """
    given: dict[str, list[str]] = {"host": [], "origin": [], "sec-fetch-site": []}
    for name, value in headers:
        given.get(name.lower(), []).append(value)
    hosts = given["host"]
    if not any_host and not (len(hosts) == 1 and _THIS_MACHINE.fullmatch(hosts[0])):
        return "This service answers requests to 127.0.0.1, localhost and [::1] only."
    ours = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    # "none": the user typed the address
    sites = ("none", "same-origin")
    if any(origin not in ours for origin in given["origin"]) or any(
        site not in sites for site in given["sec-fetch-site"]
    ):
        return "This service does not answer pages of other sites."
    return None
