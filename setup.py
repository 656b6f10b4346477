"""Compiles the agent's hot modules where there is a C compiler; without one they run interpreted."""

from __future__ import annotations

import os
from glob import glob

from setuptools import Extension, setup

COMPILED = ["agent/flow.py", "agent/meter.py", "agent/privacy.py", "agent/protocol.py", *sorted(glob("agent/protocols/[a-z]*.py"))]  # noqa: E501, PTH207 - setuptools wants relative names


def extensions() -> list[Extension]:
    """Each optional: a failed compilation leaves the interpreted module."""
    if os.environ.get("NIGRANI_PURE"):
        return []
    from Cython.Build import cythonize  # noqa: PLC0415 - only where something is compiled

    modules = [
        Extension(path.removesuffix(".py").replace("/", "."), [path], optional=True, extra_compile_args=["-O2"])
        for path in COMPILED
    ]
    return list(cythonize(modules, build_dir="build/cython", language_level=3))


setup(ext_modules=extensions())
