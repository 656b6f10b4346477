"""Let somebody log in to the page, give a new password or role, or take the right away.

The password is asked for, or read from standard input where that is no terminal: one line, at least twelve characters. The
page takes the change at once, and a user's sessions end.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from detector.commands.case import configured
from detector.page.users import LEAST_PASSWORD, MOST_PASSWORD, NAME, ROLES, User, hashed, read, write
from nigrani.service.errors import Problem, Usage


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the user; without one, those there are")
    parser.add_argument("--role", choices=ROLES, help="what the user may do; each role includes those before it")
    parser.add_argument("--remove", action="store_true", help="take the right to log in away")
    parser.add_argument("--users", metavar="FILE", type=Path, help="the file; default: page.users of the configuration")
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")


def run(options: argparse.Namespace) -> int:
    """Change the file, or list it."""
    path = options.users or configured(options).page.users
    if path is None:
        raise Usage("name the file with --users, or set page.users in the configuration named with --config")
    users = read(path) if path.exists() else {}
    if options.name is None:
        sys.stdout.writelines(f"{user.name}  {user.role}\n" for user in users.values())
        return 0
    if options.remove:
        if users.pop(options.name, None) is None:
            raise Problem(f"{options.name} is no user of {path}")
    else:
        users[options.name] = _made(options.name, options.role, users.get(options.name))
    write(path, users)
    return 0


def _made(name: str, role: str | None, before: User | None) -> User:
    if not NAME.fullmatch(name):
        raise Usage(f"{name!r} is no name: small letters, digits, dot, dash and underscore, at most 32")
    role = role or (before.role if before else None)
    if role is None:
        raise Usage(f"say what {name} may do: --role {'|'.join(ROLES)}")
    return User(name, role, hashed(_password(name)))


def _password(name: str) -> str:
    """Raises Usage of one that is too short."""
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Again: ") != password:
            raise Usage("the two are not the same")
    else:
        password = sys.stdin.readline(MOST_PASSWORD + 2).rstrip("\r\n")
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise Usage(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return password
