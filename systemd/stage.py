"""The tree that a package installs: one role's libraries, command, units and configuration, at their final places.

Each role has its own virtual environment of the distribution's Python, so that agent and detector can be on one machine,
and neither touches what the distribution or others have installed.
"""  # noqa: INP001 - beside package.py, which is run as a script

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    *("agent", "detector", "nigrani", "rules", "config", "docs/runbooks"),
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
)
MODULES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
BACK_OFF = 254
"""The first systemd that knows RestartSteps=."""


@dataclass(frozen=True)
class Role:
    """What one package is for."""

    name: str
    summary: str
    extra: str
    """Of the wheel's extras."""
    units: tuple[str, ...]
    check: str
    """The command's words that judge a configuration, whose file comes last."""
    priority: int
    """Whose `nigrani` is /usr/bin/nigrani where both are installed: the higher."""
    without: tuple[str, ...] = ()
    """What of the modules is left out."""
    shares: tuple[str, ...] = ()
    """What of `config` is for other programs, or for people."""

    @property
    def home(self) -> Path:
        """Where its virtual environment is, seen from the installed machine's root."""
        return Path("usr/lib/nigrani", self.name)


BACKENDS = ("zstandard/_cffi*", "zstandard/backend_cffi.py", "numba/np/ufunc/omppool*", "numba/np/ufunc/tbbpool*")
"""For other Pythons than this one, and other ways to use many cores than numba's own."""
DRAWING = ("matplotlib*", "mpl_toolkits", "pylab.py", "contourpy*", "cycler*", "kiwisolver*")
"""What PyOD wants for its examples' pictures, and loads for nothing else."""
MONITORING = ("alertmanager", "grafana", "prometheus", "schema")
"""What of `config` is no program's of ours."""

ROLES = {
    role.name: role
    for role in (
        Role(
            "agent",
            "watches hospital networks: packets to events, without patient data",
            extra="[map]",
            units=("nigrani-agent.service", "nigrani-forward.service"),
            check="agent check --offline --quiet --config",
            priority=10,
            without=(*BACKENDS, "detector", "nigrani/data"),
            shares=("nginx-ai-gateway.conf",),
        ),
        Role(
            "detector",
            "judges hospital networks' events: models, rules, alerts and cases",
            extra="[detector,map]",
            units=("nigrani-detector.service",),
            check="rules check --config",
            priority=20,
            without=(*BACKENDS, *DRAWING, *(f"nigrani/data/config/{name}" for name in ("*.*", *MONITORING))),
            shares=MONITORING,
        ),
    )
}

UNNEEDED = (
    "*.pyi",
    "*.pxd",
    "*.pyx",
    "*.c",
    "*.h",
    "*.hpp",
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "py.typed",
)
"""What compilers, type checkers and pip read, the last with the paths of the machine that built."""

HARDENED = {"CFLAGS": "-fstack-protector-strong -D_FORTIFY_SOURCE=2", "LDFLAGS": "-Wl,-z,relro,-z,now,--build-id=none"}
"""What is compiled here reads what strangers send; a build id would tell the folder it was built in."""

COMMAND = """\
#!/{home}/bin/python3 -I
import sys

from nigrani.cli import main

sys.exit(main())
"""


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """A tool's standard output; ends the build where the tool fails."""
    try:
        done = subprocess.run(  # noqa: S603 - tools that this build names
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError as error:
        sys.exit(f"package: {error.filename} is not installed")
    except subprocess.CalledProcessError as error:
        sys.exit(f"package: {Path(command[0]).name} ended with {error.returncode}")
    return done.stdout


def build_wheel(work: Path) -> Path:
    """The product's wheel, built from a copy so that nothing of the checkout's own builds gets in."""
    source = work / "source"
    shutil.rmtree(source, ignore_errors=True)
    for old in work.glob("nigrani-*.whl"):
        old.unlink()
    source.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / name, source)
    run(pip(work), "wheel", "--quiet", "--no-deps", "--wheel-dir", work, source, **HARDENED)
    (wheel,) = work.glob("nigrani-*.whl")
    return wheel


def pip(work: Path) -> Path:
    """The build's own pip, of the Python that the packages will run on."""
    tools = work / "tools"
    if not (tools / "bin/pip").is_file():
        run(sys.executable, "-m", "venv", tools)
    return tools / "bin/pip"


def stage(role: Role, wheel: Path, work: Path, epoch: int) -> Path:
    """The tree of one role, every file as old as `epoch`, seconds."""
    tree = work / f"nigrani-{role.name}"
    shutil.rmtree(tree, ignore_errors=True)
    modules = tree / role.home / MODULES
    modules.mkdir(parents=True)
    run(pip(work), "install", "--quiet", "--no-compile", "--target", modules, f"{wheel}{role.extra}")
    trim(modules, role.without)
    environment(tree, role)
    files(tree, role)
    compile_modules(modules, role)
    settle(tree, epoch)
    return tree


def trim(modules: Path, without: tuple[str, ...] = ()) -> None:
    """Leave out what no service reads: tests, headers, scripts, pip's records, symbols of what was compiled here."""
    shutil.rmtree(modules / "bin", ignore_errors=True)
    for pattern in without:
        for path in modules.glob(pattern):
            remove(path)
    for path in [path for pattern in UNNEEDED for path in modules.rglob(pattern)]:
        remove(path)
    for tests in [
        path for path in modules.rglob("tests") if path.is_dir()
    ]:  # libraries import some of theirs: numpy _natype
        for path in [*tests.rglob("test_*.py"), *tests.rglob("data")]:
            remove(path)
    for path in sorted(modules.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    bundled = any(
        modules.glob("*.libs")
    )  # a library that finds another beside itself has been patched, and is not stripped again
    compiled = [
        path for name in (("agent", "detector", "nigrani") if bundled else ("",)) for path in (modules / name).rglob("*.so")
    ]
    if compiled:
        run("strip", "--strip-unneeded", *compiled)


def remove(path: Path) -> None:
    """A file, or a folder with all in it; what has gone already is fine."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def environment(tree: Path, role: Role) -> None:
    """What makes the folder a virtual environment of the distribution's Python, and its one command."""
    home = tree / role.home
    python = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(python)
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nexecutable = {python}\n")
    command = home / "bin/nigrani"
    command.write_text(COMMAND.format(home=role.home))
    command.chmod(0o755)


def files(tree: Path, role: Role) -> None:
    """Units, the system user, folders, configuration and documentation."""
    here = ROOT / "systemd"
    package = f"nigrani-{role.name}"
    places = {f"usr/lib/systemd/system/{unit}": here / unit for unit in role.units}
    places[f"usr/lib/sysusers.d/{package}.conf"] = here / "nigrani.sysusers.conf"
    places[f"usr/lib/tmpfiles.d/{package}.conf"] = here / "nigrani.tmpfiles.conf"
    places[f"etc/nigrani/{role.name}.yaml"] = ROOT / "config" / f"{role.name}.yaml"
    places[f"usr/share/doc/{package}/install.md"] = ROOT / "docs/install.md"
    places[f"usr/share/doc/{package}/copyright"] = ROOT / "LICENSE"
    if systemd_version() >= BACK_OFF:
        places |= {f"usr/lib/systemd/system/{unit}.d/back-off.conf": here / "back-off.conf" for unit in role.units}
    for place, source in places.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / place)
    share(tree, role)
    (tree / f"usr/share/doc/{package}/libraries").write_text("".join(libraries(tree / role.home / MODULES)))


def share(tree: Path, role: Role) -> None:
    """What is made for other programs and for people, where they look for it; nothing of it is in force by itself."""
    target = tree / "usr/share/nigrani"
    target.mkdir(parents=True)
    for name in role.shares:
        source = ROOT / "config" / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target / name)
    runbooks = role.home / MODULES / "nigrani/data/docs/runbooks"
    if (tree / runbooks).is_dir():
        (target / runbooks.name).symlink_to(Path("../..", runbooks.relative_to("usr")))


def systemd_version() -> int:
    """Of this machine, as a package is for the release that it is built on."""
    return int(run("systemctl", "--version").split()[1])


def libraries(modules: Path) -> Iterator[str]:
    """A line for each library in the package: name, version and licence."""
    for found in sorted(distributions(path=[str(modules)]), key=lambda found: found.metadata["Name"].lower()):
        licences = [
            line.rpartition(" :: ")[2] for line in found.metadata.get_all("Classifier", []) if line.startswith("License")
        ]
        stated = (
            found.metadata["License-Expression"] or ", ".join(licences) or (found.metadata["License"] or "see its files")
        )
        yield f"{found.metadata['Name']} {found.version}: {stated.splitlines()[0]}\n"


def compile_modules(modules: Path, role: Role) -> None:
    """Bytecode that is taken without a look at the source's time; what has machine code needs none."""
    compiled = {path.with_name(f"{path.name.split('.')[0]}.py") for path in modules.rglob("*.so")}
    spared = "|".join(re.escape(str(path)) for path in sorted(compiled)) or "^$"
    run(
        sys.executable,
        *("-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"),
        *("-s", modules, "-p", f"/{role.home / MODULES}", "-x", f"^(?:{spared})$", modules),
        PYTHONHASHSEED="0",
    )


def settle(tree: Path, epoch: int) -> None:
    """One mode and one time for all, whoever builds and when."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            os.utime(path, (epoch, epoch), follow_symlinks=False)
            continue
        executable = path.is_dir() or path.parent.name == "bin"
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch))
