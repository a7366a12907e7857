"""Builds the web interface when the package is built or installed from its sources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "ui"))
try:
    import toolchain
except ImportError:  # a copy of the package without its sources of the interface
    toolchain = None


class InterfaceHook(BuildHookInterface[Any]):
    """Installs go on without the interface if npm's registry can't be reached."""

    def dependencies(self) -> list[str]:
        """Node, if the interface is to be built."""
        return [] if toolchain is None or toolchain.is_built() else [toolchain.NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it if it is missing or not of these sources."""
        if toolchain is None or toolchain.is_built():
            return
        try:
            toolchain.build()
        except RuntimeError as error:
            self.app.display_warning(f"Going on without the web interface. {error}")
