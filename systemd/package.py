"""Builds nigrani's .deb and .rpm packages into dist/: `package.py deb|rpm [agent] [detector]`.

Run it by the Python of the distribution that the packages are for: they use that Python. The same checkout, libraries and
SOURCE_DATE_EPOCH (by default the last commit's time) give the same bytes.
"""  # noqa: INP001 - run as a script

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

from stage import ROLES, ROOT, Role, build_wheel, run, stage

WORK = ROOT / "build/package"
SCRIPTS = ("postinst", "prerm", "postrm")
LIBC = "libc6 (>= 2.{newest})"
PROVIDERS = {
    **dict.fromkeys(
        ("ld-linux-x86-64", "ld-linux-aarch64", "libc", "libdl", "libm", "libpthread", "librt", "libutil"), LIBC
    ),
    "libgcc_s": "libgcc-s1",
    "libstdc++": "libstdc++6",
    "libz": "zlib1g",
}
"""Shared library → the Debian package that has it."""


def main() -> int:
    """Build what was asked for, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("deb", "rpm"))
    parser.add_argument("roles", nargs="*", metavar="ROLE", help=f"of {', '.join(ROLES)}; all by default")
    parser.add_argument("--wheel", type=Path, help="nigrani's wheel, where it has been built already")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where packages go")
    options = parser.parse_args()
    if unknown := set(options.roles) - set(ROLES):
        parser.error(f"no such role: {', '.join(sorted(unknown))}")
    if sys.prefix != "/usr":
        parser.error("run it by the distribution's own Python, /usr/bin/python3")
    epoch = built_at()
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    os.umask(0o022)
    options.out.mkdir(parents=True, exist_ok=True)
    work = WORK / options.kind
    wheel = (options.wheel or build_wheel(work)).resolve()
    for name in options.roles or ROLES:
        role = ROLES[name]
        tree = stage(role, wheel, work, epoch)
        package = {"deb": deb, "rpm": rpm}[options.kind](role, tree, work, version(wheel))
        target = options.out / package.name
        shutil.move(package, target)
        installed = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir())
        sys.stdout.write(f"{target}  {target.stat().st_size:,} bytes, {installed:,} installed\n")
    return 0


def built_at() -> int:
    """The time that all files get: $SOURCE_DATE_EPOCH, the last commit's, or now where there is no git."""
    if stated := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(stated)
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        return int(run(git, "-C", ROOT, "log", "-1", "--format=%ct"))
    return int(time.time())


def version(wheel: Path) -> str:
    """As the wheel's name has it."""
    return wheel.name.split("-")[1]


def said(role: Role) -> dict[str, object]:
    """What both kinds of package say of a role."""
    return {
        "role": role.name,
        "other": next(name for name in ROLES if name != role.name),
        "units": " ".join(role.units),
        "priority": role.priority,
        "check": role.check,
        "summary": role.summary,
    }


def deb(role: Role, tree: Path, work: Path, number: str) -> Path:
    """The .deb of a tree."""
    control = tree / "DEBIAN"
    control.mkdir()
    architecture = run("dpkg", "--print-architecture").strip()
    words = said(role) | {
        "version": f"{number}-1",
        "architecture": architecture,
        "depends": ", ".join([(tree / role.home / "bin/python3").readlink().name, "systemd", *shared_libraries(tree)]),
        "size": sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir()) // 1024,
    }
    for name in ("control", *SCRIPTS):
        text = Template((ROOT / "systemd/deb" / name).read_text()).substitute(words)
        (control / name).write_text(text)
        (control / name).chmod(0o755 if name in SCRIPTS else 0o644)
    configuration = sorted(path for path in (tree / "etc").rglob("*") if path.is_file())
    (control / "conffiles").write_text("".join(f"/{path.relative_to(tree)}\n" for path in configuration))
    package = work / f"nigrani-{role.name}_{number}-1_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package)
    return package


def shared_libraries(tree: Path) -> list[str]:
    """Debian packages of the system's libraries that the compiled modules need, and that are not in the tree."""
    own = {path.name for path in tree.rglob("*.so*")}
    told = run("objdump", "-p", *(path for path in tree.rglob("*.so*") if path.is_file()))
    needed = set(re.findall(r"NEEDED +(\S+)", told)) - own
    if unknown := {name for name in needed if name.split(".so")[0] not in PROVIDERS}:
        sys.exit(f"package: nobody is known to provide {', '.join(sorted(unknown))}; see PROVIDERS")
    newest = max(map(int, re.findall(r"GLIBC_2\.(\d+)", told)), default=17)
    return sorted({PROVIDERS[name.split(".so")[0]].format(newest=newest) for name in needed})


def rpm(role: Role, tree: Path, work: Path, number: str) -> Path:
    """The .rpm of a tree."""
    top = work / "rpmbuild"
    spec = work / f"nigrani-{role.name}.spec"
    words = said(role) | {
        "version": number,
        "python": (tree / role.home / "bin/python3").readlink(),
        "files": "\n".join(rpm_files(tree)),
    }
    spec.write_text(Template((ROOT / "systemd/rpm/nigrani.spec").read_text()).substitute(words))
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", "--define", f"tree {tree}", spec)
    (package,) = (top / "RPMS").rglob(f"nigrani-{role.name}-{number}-1.*.rpm")
    return package


def rpm_files(tree: Path) -> Iterator[str]:
    """The spec's list of files; folders that are not the distribution's are ours."""
    for path in sorted(tree.rglob("*")):
        place = f"/{path.relative_to(tree)}"
        folder = path.is_dir() and not path.is_symlink()
        if place.startswith("/etc/nigrani"):
            yield f'{"%dir %attr(0750" if folder else "%config(noreplace) %attr(0640"}, root, nigrani) "{place}"'
        elif not folder:
            yield f'"{place}"'
        elif place.startswith(("/usr/lib/nigrani", "/usr/share/nigrani")) or "/doc/nigrani-" in place:
            yield f'%dir "{place}"'


if __name__ == "__main__":
    sys.exit(main())
