"""The agent: packets and log lines of a hospital host to events without patient data."""

from __future__ import annotations

import os

if os.environ.get("NIGRANI_PURE"):
    from agent._interpreted import install

    install()
