"""Markdown as HTML, without HTML of its own: runbooks and drafts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""Of a runbook."""
_parser = MarkdownIt("commonmark", {"html": False}).enable("table")


def render(text: str) -> tuple[str, Markup]:
    """The title, where it begins with one, and the rest."""
    tokens = _parser.parse(text)
    title = ""
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        title, tokens = tokens[1].content, tokens[3:]
    for token in _walk(tokens):
        if token.type == "link_open":
            _lead(token)
    return title, Markup(_parser.renderer.render(tokens, _parser.options, {}))  # noqa: S704 - rendered with HTML off


def _lead(link: Token) -> None:
    """Links to other runbooks lead to their pages, those that leave say so."""
    target = str(link.attrs.get("href", ""))
    name = target.removesuffix(".md")
    if "://" in target:
        link.attrs |= {"rel": "noreferrer noopener external", "class": "outside"}
    elif NAME.fullmatch(name):
        link.attrs["href"] = f"/runbooks/{name}"


def _walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])
