"""What all tests share: how hypothesis explores."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "nigrani",
    deadline=None,  # a busy machine is no fault of the code
    derandomize="CI" in os.environ,  # the same examples for everybody who judges a change; new ones at the desk
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nigrani")
