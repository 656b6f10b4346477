"""What the agent and the detector share: the road between them, and what both need to run as a service."""

from __future__ import annotations

__version__ = "0.1.0"
