"""A report's Markdown as PDF: A4, drawn with the fonts that travel with it, the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from fpdf import FPDF

from detector.reports.layout import Block, Line, Span, blocks, flow, runs
from detector.reports.typeface import POINT, Typeface
from nigrani import __version__

MAX_MARKDOWN = 2_000_000
"""Letters; the draft of a large case has a tenth of them."""
BOXES = ("☐", "☒")
"""An item of a list that begins so wants no bullet."""
MARGIN, TOP, BOTTOM = 18.0, 24.0, 20.0
"""Millimetres."""
SIZES = {"h1": 17.0, "h2": 12.5, "h3": 10.0, "text": 9.5, "item": 9.5, "table": 8.8}
"""Points."""
LEADING = 1.45
ABOVE = {"h1": 0.0, "h2": 5.5, "h3": 3.5, "text": 2.0, "item": 0.6, "table": 2.2}
"""Millimetres of air over a block."""
INK, GREY, PALE, RULE, AMBER = (24, 26, 32), (112, 114, 120), (243, 244, 247), (194, 198, 206), (255, 231, 163)
PAD = 1.7
KEEP = 36.0
"""Millimetres that a heading wants below it, not to stand alone at a page's end."""
MAX_HEADER = 4
"""Lines of a table's header."""
WHOLE = 14
"""Lines of a row that is not laid over two pages."""
FIRST_OF_TWO = 0.32
"""Of a table with two columns, the part of the first."""
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)


def render(markdown: str, when: datetime = UNDATED) -> bytes:
    """The PDF; the same Markdown and time always give the same bytes. Raises ValueError where it is no report's size."""
    if len(markdown) > MAX_MARKDOWN:
        raise ValueError(f"{len(markdown)} letters are no report; at most {MAX_MARKDOWN}")
    parts = list(blocks(markdown))
    title = next(("".join(span.text for span in runs(block.text)) for block in parts if block.kind == "h1"), "Report")
    with closing(_Sheet(title, when)) as counted:
        pages = _drawn(counted, parts).page_no()
    with closing(_Sheet(title, when, pages)) as sheet:
        return bytes(_drawn(sheet, parts).output())


def _drawn(sheet: _Sheet, parts: Sequence[Block]) -> _Sheet:
    missing = _missing(sheet, parts)
    for number, block in enumerate(parts):
        if number == 2 and missing:
            _text(
                sheet,
                Block("text", f"**{missing:,} letters have no font in this PDF and are boxes; the Markdown has them.**"),
            )
        _PUT[block.kind](sheet, block)
    return sheet


class _Sheet(FPDF):
    """The pages, with what stands on each of them."""

    def __init__(self, title: str, when: datetime, pages: int = 0) -> None:
        super().__init__(format="A4")
        self.face = Typeface(self)
        self._pages_in_all = pages
        self.c_margin = 0.0
        self.name = "".join(span.text for span in self.face.dress(Span(title)))
        self.set_title(self.name)
        self.set_creator(f"nigrani {__version__}")
        self.set_producer("fpdf2")
        self.set_lang("en-IN")
        self.set_creation_date(when)
        self.set_margins(MARGIN, TOP, MARGIN)
        self.set_auto_page_break(auto=False)
        self.add_page()

    def close(self) -> None:
        """Let go of the fonts."""
        self.face.close()

    def header(self) -> None:
        """Name the report, and say across the page that it is a draft."""
        self.set_text_color(243, 244, 246)
        with self.rotation(52, self.w / 2, self.h / 2):
            self.face.draw(self.w / 2 - 78, self.h / 2 + 18, Span("DRAFT", bold=True, face="DejaVu"), 120)
        self.set_text_color(*GREY)
        for line in flow([Span(self.name)], self.epw - 20, lambda span: self.face.width(span, 8), self.face.dress)[:1]:
            self.put(line, MARGIN, 13.5, 8)
        mark = Span("DRAFT", bold=True, face="DejaVu")
        self.face.draw(self.w - MARGIN - self.face.width(mark, 8), 13.5, mark, 8)
        self.set_draw_color(*RULE)
        self.line(MARGIN, 16, self.w - MARGIN, 16)
        self.set_text_color(*INK)
        self.set_y(TOP)

    def footer(self) -> None:
        """Number the page."""
        self.set_text_color(*GREY)
        self.face.draw(
            MARGIN, self.h - 10, Span("Draft made by nigrani; a person checks, completes and sends it.", face="DejaVu"), 8
        )
        page = Span(f"page {self.page_no()} of {self._pages_in_all}", face="DejaVu")
        self.face.draw(self.w - MARGIN - self.face.width(page, 8), self.h - 10, page, 8)
        self.set_text_color(*INK)

    def lines(self, text: str, kind: str, width: float, *, bold: bool = False) -> list[Line]:
        """The text's lines in so many millimetres."""
        spans = [span._replace(bold=span.bold or bold) for span in runs(text)]
        return flow(spans, width, lambda span: self.face.width(span, SIZES[kind]), self.face.dress)

    def put(self, line: Line, x: float, baseline: float, size: float) -> None:
        """Draw a line; what waits for a person is marked."""
        for span in line:
            width = self.face.width(span, size)
            if span.fill:
                self.set_fill_color(*AMBER)
                self.rect(x - 0.3, baseline - size * POINT * 0.95, width + 0.6, size * POINT * 1.28, style="F")
            self.face.draw(x, baseline, span, size)
            x += width

    @property
    def room(self) -> float:
        """Millimetres left on the page."""
        return float(self.h) - BOTTOM - float(self.get_y())

    def below(self, kind: str) -> None:
        """Leave the air over a block, unless it begins the page."""
        if self.get_y() > TOP:
            self.set_y(self.get_y() + ABOVE[kind])

    def need(self, height: float) -> bool:
        """Begin a page where there is not so much room; whether one was begun."""
        if self.room >= height:
            return False
        self.add_page()
        return True


def _missing(sheet: _Sheet, parts: Sequence[Block]) -> int:
    for block in parts:
        for text in (block.text, *(cell for row in block.rows for cell in row)):
            sheet.face.dress(Span(text))
    return sheet.face.missing


def _heading(sheet: _Sheet, block: Block) -> None:
    sheet.below(block.kind)
    sheet.need(KEEP)
    _lines(sheet, sheet.lines(block.text, block.kind, sheet.epw, bold=True), MARGIN, block.kind)


def _text(sheet: _Sheet, block: Block) -> None:
    sheet.below(block.kind)
    _lines(sheet, sheet.lines(block.text, block.kind, sheet.epw), MARGIN, block.kind)


def _item(sheet: _Sheet, block: Block) -> None:
    sheet.below(block.kind)
    height = SIZES[block.kind] * POINT * LEADING
    sheet.need(height)
    if not block.text.startswith(BOXES):
        sheet.put([Span("•", face="DejaVu")], MARGIN + 1.5, sheet.get_y() + 0.75 * height, SIZES[block.kind])
    _lines(sheet, sheet.lines(block.text, block.kind, sheet.epw - 6), MARGIN + 6, block.kind)


def _lines(sheet: _Sheet, lines: Sequence[Line], x: float, kind: str) -> None:
    height = SIZES[kind] * POINT * LEADING
    for line in lines:
        sheet.need(height)
        sheet.put(line, x, sheet.get_y() + 0.75 * height, SIZES[kind])
        sheet.set_y(sheet.get_y() + height)


def _table(sheet: _Sheet, block: Block) -> None:
    """Draw a table; its header is on every page that it reaches."""
    sheet.below(block.kind)
    widths = _widths(block.rows, sheet.epw)
    header, *rows = (_cells(sheet, row, widths, header=number == 0) for number, row in enumerate(block.rows))
    step = SIZES["table"] * POINT * LEADING
    first = _tall(rows[0]) if rows else 0
    beginning = 4 * PAD + step * (_tall(header) + (first if first <= WHOLE else 3))
    sheet.need(beginning)
    _chunk(sheet, header, widths, header=True)
    for row in rows:
        start, count = 0, _tall(row)
        while start < count:
            fits = min(count - start, int((sheet.room - 2 * PAD) / step))
            if fits >= count - start or (fits >= 3 and count > WHOLE):
                _chunk(sheet, [lines[start : start + fits] for lines in row], widths)
                start += fits
            else:
                sheet.add_page()
                _chunk(sheet, header, widths, header=True)
    sheet.set_y(sheet.get_y() + 1.5)


def _cells(sheet: _Sheet, row: Sequence[str], widths: Sequence[float], *, header: bool) -> list[list[Line]]:
    return [
        sheet.lines(cell, "table", width - 2 * PAD, bold=header or (number == 0 and len(row) == 2))[
            : MAX_HEADER if header else None
        ]
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _tall(row: Sequence[Sequence[Line]]) -> int:
    return max(len(lines) for lines in row)


def _chunk(sheet: _Sheet, cells: Sequence[Sequence[Line]], widths: Sequence[float], *, header: bool = False) -> None:
    """Draw the lines of a row that stand on this page."""
    x, y = MARGIN, sheet.get_y()
    step = SIZES["table"] * POINT * LEADING
    height = _tall(cells) * step + 2 * PAD
    sheet.set_draw_color(*RULE)
    for number, (lines, width) in enumerate(zip(cells, widths, strict=True)):
        if header or (number == 0 and len(cells) == 2):
            sheet.set_fill_color(*PALE)
            sheet.rect(x, y, width, height, style="F")
        sheet.rect(x, y, width, height)
        for place, line in enumerate(lines):
            sheet.put(line, x + PAD, y + PAD + (place + 0.75) * step, SIZES["table"])
        x += width
    sheet.set_y(y + height)


def _widths(rows: Sequence[Sequence[str]], whole: float) -> list[float]:
    """By how much each column holds, within limits."""
    count = len(rows[0]) if rows else 1
    if count == 2:
        return [whole * FIRST_OF_TWO, whole * (1 - FIRST_OF_TWO)]
    longest = [min(60, max(8, *(len(row[column]) for row in rows), 0)) for column in range(count)]
    return [whole * length / sum(longest) for length in longest]


_PUT = {"h1": _heading, "h2": _heading, "h3": _heading, "text": _text, "item": _item, "table": _table}
