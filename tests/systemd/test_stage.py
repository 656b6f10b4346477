"""What a package's tree is made of, without building one: what is left out, what is told, and the maintainer's scripts."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ("postinst", "prerm", "postrm")
WORDS = {
    "role": "agent",
    "other": "detector",
    "units": "nigrani-agent.service",
    "priority": "10",
    "check": "agent check --offline --quiet --config",
    "version": "1",
    "summary": "x",
}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "systemd"))
    yield importlib.import_module("stage")
    sys.modules.pop("stage", None)


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def test_every_role_has_its_units_and_its_configuration(stage: ModuleType) -> None:
    for role in stage.ROLES.values():
        assert all((ROOT / "systemd" / unit).is_file() for unit in role.units)
        assert (ROOT / "config" / f"{role.name}.yaml").is_file()
        starts = [
            line
            for unit in role.units
            for line in (ROOT / "systemd" / unit).read_text().splitlines()
            if "ExecStart=" in line
        ]
        assert all(f"/{role.home}/bin/nigrani " in line for line in starts)


def test_what_the_wheel_is_made_of_is_copied_to_where_it_is_built(stage: ModuleType) -> None:
    assert all((ROOT / name).exists() for name in stage.SOURCES)
    (names,) = re.findall(r"^DATA = \((.*)\)$", (ROOT / "setup.py").read_text(), re.MULTILINE)
    assert set(re.findall(r'"([^"]+)"', names)) <= set(stage.SOURCES)


def test_what_the_page_shows_is_in_the_wheel_and_in_the_repository() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["detector.page"]
    packed = {path for pattern in patterns for path in (ROOT / "detector/page").glob(pattern)}
    assert packed == {path for path in (ROOT / "detector").rglob("*.*") if path.suffix not in {".py", ".pyc"}}
    if (ROOT / ".git").exists() and shutil.which("git"):
        done = subprocess.run(["git", "check-ignore", *packed], cwd=ROOT, capture_output=True, text=True, check=False)
        assert not done.stdout


@pytest.mark.parametrize("name", ["agent", "detector"])
def test_what_is_for_others_lies_outside_of_the_modules(stage: ModuleType, name: str, tmp_path: Path) -> None:
    role = stage.ROLES[name]
    modules = tmp_path / role.home / stage.MODULES
    for part in ("config", "docs/runbooks"):
        shutil.copytree(ROOT / part, modules / "nigrani/data" / part)
    stage.trim(modules, role.without)
    stage.share(tmp_path, role)
    shared = tmp_path / "usr/share/nigrani"
    kept = {path.name for path in (modules / "nigrani/data").rglob("*") if path.is_file()}
    if name == "agent":
        assert [path.name for path in shared.iterdir()] == ["nginx-ai-gateway.conf"]
        assert not kept
        return
    assert {path.name for path in shared.iterdir()} == {"alertmanager", "grafana", "prometheus", "schema", "runbooks"}
    assert (shared / "runbooks/port-scan.md").is_file()
    assert not (shared / "runbooks").readlink().is_absolute()
    assert {"attack.tsv", "DejaVuSans.ttf", "port-scan.md"} <= kept
    assert not kept & {"prometheus.yml", "detector.yaml", "network.flow.json"}


def test_what_no_service_reads_is_left_out(stage: ModuleType, tmp_path: Path) -> None:
    kept = [tmp_path / "lib/core.py", tmp_path / "lib/tests/_natype.py", tmp_path / "lib-1.dist-info/METADATA"]
    gone = [tmp_path / "lib/core.pyi", tmp_path / "lib/core.h", tmp_path / "lib/tests/test_core.py", tmp_path / "bin/tool"]
    gone += [
        tmp_path / "lib-1.dist-info/RECORD",
        tmp_path / "lib-1.dist-info/direct_url.json",
        tmp_path / "drawing/picture.py",
    ]
    write(*kept, *gone)
    stage.trim(tmp_path, ("drawing",))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert not (tmp_path / "drawing").exists()


def test_all_files_have_one_mode_and_one_time(stage: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "bin/tool", tmp_path / "lib/core.py")
    (tmp_path / "lib/core.py").chmod(0o777)
    (tmp_path / "bin/python3").symlink_to("/usr/bin/python3")
    stage.settle(tmp_path, 1_000_000)
    assert {path.lstat().st_mtime for path in [tmp_path, *tmp_path.rglob("*")]} == {1_000_000}
    assert (tmp_path / "lib/core.py").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755


def test_bytecode_is_taken_whatever_the_time_and_tells_no_build_path(stage: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "lib/core.py", tmp_path / "lib/fast.py", tmp_path / "lib/fast.cpython-311-x86_64-linux-gnu.so")
    stage.compile_modules(tmp_path, stage.ROLES["agent"])
    (bytecode,) = tmp_path.rglob("*.pyc")
    assert bytecode.name.startswith("core.")
    assert int.from_bytes(bytecode.read_bytes()[4:8], "little") == 1, "unchecked-hash"
    assert str(tmp_path).encode() not in bytecode.read_bytes()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_maintainers_script_is_a_script(script: str, tmp_path: Path) -> None:
    text = Template((ROOT / "systemd/deb" / script).read_text()).substitute(WORDS)
    path = tmp_path / script
    path.write_text(text)
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -e\n" in text
    subprocess.run(["sh", "-n", str(path)], check=True)


@pytest.mark.parametrize(
    ("role", "text", "code", "told"),
    [
        ("agent", "logs: {folders: {m: {path: /}}}\n", 0, ""),
        ("agent", "interfaces: []\n", 78, "nothing to watch"),
        ("agent", "interfaces: [nowhere0]\n", 1, "there is none of that name"),
        ("agent", "interfacs: [lo]\n", 78, "did you mean interfaces?"),
        ("detector", "alertz: {}\n", 78, "did you mean alerts?"),
    ],
)
def test_a_configuration_is_judged_before_the_service_is_started(  # what postinst and %post run
    stage: ModuleType, role: str, text: str, code: int, told: str, tmp_path: Path
) -> None:
    config = tmp_path / f"{role}.yaml"
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "nigrani.cli", *stage.ROLES[role].check.split(), config],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NIGRANI_STATE": str(tmp_path)},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr
    assert told or not done.stdout


def test_the_spec_is_filled_without_a_gap() -> None:
    text = Template((ROOT / "systemd/rpm/nigrani.spec").read_text()).substitute(WORDS, python="/usr/bin/python3", files="/x")
    assert "%config" not in text
    if shutil.which("rpmspec"):
        subprocess.run(["rpmspec", "--parse", "/dev/stdin"], input=text, text=True, check=True, capture_output=True)
