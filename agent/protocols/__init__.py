"""The protocols the agent knows, one module each, in the order in which they are asked whether bytes are theirs."""

from __future__ import annotations
