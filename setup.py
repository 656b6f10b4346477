"""Compiles the meter and the protocol parsers where there is a C compiler; without one they run interpreted."""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup

COMPILED = ["agent/flow.py", "agent/meter.py", "agent/protocol.py"]


def extensions() -> list[Extension]:
    """Each optional: a failed compilation leaves the interpreted module."""
    if os.environ.get("NIGRANI_PURE"):
        return []
    from Cython.Build import cythonize  # noqa: PLC0415 - only where something is compiled

    modules = [
        Extension(path.removesuffix(".py").replace("/", "."), [path], optional=True, extra_compile_args=["-O2"])
        for path in COMPILED
        if Path(path).exists()
    ]
    return list(cythonize(modules, build_dir="build/cython", language_level=3))


setup(ext_modules=extensions())
