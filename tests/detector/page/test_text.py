"""What an attacker writes is seen and not obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from detector.page.text import LONGEST, is_token, plain, short, tokens

TOKEN = "ip:0123456789abcdef"


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\ufeff", "\u3164"])
def test_letters_that_steer_or_hide_are_shown(letter: str) -> None:
    assert plain(f"a{letter}b") == f"a(U+{ord(letter):04X})b"


def test_scripts_lines_and_our_own_markup_stay() -> None:
    assert plain("क्\u200dष नमस्ते") == "क्\u200dष नमस्ते"
    assert plain("one\ntwo") == "one\ntwo"
    assert plain("plain  ascii") == "plain  ascii"
    markup = Markup("<b>\u202e</b>")
    assert plain(markup) is markup
    assert plain(7) == 7


@given(st.text(max_size=200))
def test_nothing_that_is_not_printable_gets_through(text: str) -> None:
    shown = plain(text)
    assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in shown)


def test_it_cannot_fill_the_screen() -> None:
    assert len(plain("x" * 1_000_000)) < LONGEST + 100


def test_tokens() -> None:
    assert short(TOKEN) == "ip:01234567…"
    assert short("x" * 100) == "x" * 23 + "…"
    assert is_token(TOKEN)
    assert not is_token(f"{TOKEN}; reboot")
    assert tokens([f"{TOKEN} → ae:fedcba9876543210", TOKEN]) == [TOKEN, "ae:fedcba9876543210"]
