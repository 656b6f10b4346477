"""Compiles the agent's hot modules where there is a C compiler, and puts rules and configuration into the wheel.

Without a compiler, or with NIGRANI_PURE=1, the same modules run interpreted.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from subprocess import CalledProcessError

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import BaseError, CCompilerError

HOT = ("agent/flow.py", "agent/meter.py", "agent/privacy.py", "agent/protocol.py")
DATA = ("rules", "config", "docs/runbooks")


def extensions() -> list[Extension]:
    """Each optional: where the compiler fails, the interpreted module stays."""
    if os.environ.get("NIGRANI_PURE"):
        return []
    from Cython.Build import cythonize  # noqa: PLC0415 - only where something is compiled

    parsers = sorted(str(path) for path in Path("agent/protocols").glob("[a-z]*.py"))
    modules = [
        Extension(path.removesuffix(".py").replace("/", "."), [path], optional=True, extra_compile_args=["-O2"])
        for path in (*HOT, *parsers)
    ]
    return list(cythonize(modules, build_dir="build/cython", language_level=3, quiet=True))


class BuildExt(build_ext):
    """One compilation a core; a module that cannot be compiled runs interpreted."""

    def initialize_options(self) -> None:
        """Set the default of --parallel."""
        super().initialize_options()
        self.parallel = os.cpu_count() or 1

    def build_extension(self, ext: Extension) -> None:
        """Compile one module, or say that it stays as it is."""
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError, CalledProcessError, OSError) as error:
            self.warn(f"{ext.name} is not compiled and runs interpreted: {error}")


class BuildPy(build_py):
    """The packages, with the shipped rules and configuration inside `nigrani`."""

    def run(self) -> None:
        """Copy the folders that stand beside the packages in a checkout."""
        super().run()
        if not self.editable_mode:
            for name in DATA:
                target = Path(self.build_lib, "nigrani", "data", name)
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(name, target)


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt, "build_py": BuildPy})
