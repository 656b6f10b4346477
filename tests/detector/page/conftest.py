"""A page over a new store, its clock, visitors, and users with passwords."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.page import users
from detector.page.desk import Desk
from detector.page.settings import PageSettings
from tests.detector.cases.made import Clock, finding
from tests.detector.page.visitor import Visitor

PASSWORD = "correct horse battery"
Users = Callable[..., Path]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "cases.db", now=clock)
    yield made
    made.close_store()


@pytest.fixture
def settings() -> PageSettings:
    return PageSettings()


@pytest.fixture
def desk(store: Store, clock: Clock, settings: PageSettings) -> Desk:
    return Desk(store, settings, clock=lambda: clock().timestamp())


@pytest.fixture
def visitor(desk: Desk) -> Iterator[Visitor]:
    made = Visitor(desk)
    yield made
    made.close()


@pytest.fixture
def case(store: Store) -> int:
    """A case of two findings about one device."""
    device = "ip:0123456789abcdef"
    store.add([finding("port_scan", device, level="high", peer="ip:fedcba9876543210"), finding("flood", device, minutes=3)])
    return 1


@pytest.fixture(scope="session")
def hashed() -> str:
    """One password's, for scrypt takes its time."""
    return users.hashed(PASSWORD)


@pytest.fixture
def users_file(tmp_path: Path, hashed: str) -> Path:
    """One of each role, by the role's name."""
    path = tmp_path / "page.users"
    users.write(path, {role: users.User(role, role, hashed) for role in users.ROLES})
    return path
