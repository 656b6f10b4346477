"""Markdown that cannot bring HTML, scripts or other places' pictures in."""

from __future__ import annotations

import pytest

from detector.page.markdown import render


def test_title_and_rest() -> None:
    title, html = render("# A device & its ports\n\nText **bold**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert title == "A device & its ports"
    assert "<strong>bold</strong>" in html
    assert "<td>2</td>" in html
    assert "<h1" not in html


def test_without_a_title() -> None:
    assert render("Just text.") == ("", "<p>Just text.</p>\n")


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](data:text/html,1)"],
)
def test_html_stays_text(text: str) -> None:
    _, html = render(text)
    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html


def test_links_lead_to_runbooks_and_outside_says_so() -> None:
    _, html = render("[scan](port-scan.md) [out](https://example.org/)")
    assert 'href="/runbooks/port-scan"' in html
    assert 'rel="noreferrer noopener external"' in html
