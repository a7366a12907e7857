"""`python -m pydag_dist.web.openapi`: docs/openapi.json, as the code has it."""

from __future__ import annotations

import json

from pydag_dist.settings import load_settings
from pydag_dist.web.app import create_app
from pydag_dist.web.entry.access import LocalKeys
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site

if __name__ == "__main__":
    application = create_app(Site(load_settings(), WebSettings()), LocalKeys(None)).app
    print(json.dumps(application.openapi(), indent=1))  # type: ignore[attr-defined]  # noqa: T201
