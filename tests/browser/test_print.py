# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on paper (A4): no page is nearly empty, and no column is cut."""

import zlib

import pytest

from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.browser import pdf_ink, test_report

chromium, show = test_report.chromium, test_report.show

LEAST = 0.2  # of the height of a page within its margins
MARGIN_PT = 12 * 72 / 25.4  # above and below, as in report.css
WIDTH_PX, HEIGHT_PX = 1039, 703  # of what is within the margins of A4
# Each text that is not folded, but for names of functions in a flame graph, which are cut to the width of their box there as on the screen.
OVER_THE_EDGE = """(width) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const found = []
  while (texts.nextNode()) {
    const range = document.createRange()
    range.selectNodeContents(texts.currentNode)
    const holder = texts.currentNode.parentElement
    if (holder.closest('.icicle') || !holder.checkVisibility() || !texts.currentNode.data.trim()) continue
    for (const { left, right } of range.getClientRects())
      if (left < -1 || right > width + 1) found.push(`${holder.closest('[id]')?.id}: ${texts.currentNode.data.slice(0, 60)}`)
  }
  return found
}"""
LONG = "-with-a-long-name-as-clouds-give-them.rack17.fra1.prod.corp.example.net"


def nearly_empty(page):
    """Return the pages of the print of which little is used."""
    inks = pdf_ink.pages(page.pdf(prefer_css_page_size=True))
    return [
        (number, ink)
        for number, ink in enumerate(inks, 1)
        if ink is None or ink.top - ink.bottom < LEAST * (ink.height - 2 * MARGIN_PT)
    ]


def cut(page):
    """Return the texts that reach over the edge of the paper. Chromium leaves them out of the print, so the PDF cannot show it."""
    page.set_viewport_size({"width": WIDTH_PX, "height": HEIGHT_PX})
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found = page.evaluate(OVER_THE_EDGE, WIDTH_PX)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    return found


PAPER = "<style>@page { size: A4 landscape; margin: 12mm 11mm } body { margin: 0 } td { min-width: 300px }</style>"
ROW = "<table><tr>" + "<td>cell</td>" * 5 + "</tr></table>"


def made(chromium, body):
    page = chromium.new_page()
    page.set_content(f"<!DOCTYPE html><html lang='en'><head>{PAPER}</head><body>{body}</body></html>")
    return page


@pytest.mark.parametrize("last", [b"\r", b"\n"])
def test_a_content_is_read_whole_whatever_its_last_byte_is(last):
    texts = (f"BT 1 0 0 1 72 {place} Tm (text) Tj ET".encode() for place in range(10000))
    place, content = next((place, packed) for place, packed in enumerate(map(zlib.compress, texts)) if packed.endswith(last))
    raw = (
        b"%%PDF-1.4\n1 0 obj\n<</Type /Catalog /Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type /Pages /Kids [3 0 R]>>\nendobj\n"
        b"3 0 obj\n<</Type /Page /MediaBox [0 0 842 595] /Contents 4 0 R>>\nendobj\n"
        b"4 0 obj\n<</Filter /FlateDecode /Length %d>> stream\n%b\nendstream\nendobj\n" % (len(content), content)
    )
    assert pdf_ink.pages(raw) == [(72.0, place, 72.0, place, 842.0, 595.0)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>a line</p>", [1]),
        ("<div style='height: 20px; background: black'></div>", [1]),
        ("<div style='height: 500px'>begin</div><p>end</p>", []),
        ("<div style='height: 500px'>begin</div><p style='break-after: page'>end</p><p>alone</p>", [2]),
        ("<div style='height: 400px; opacity: .5'>begin<p style='margin-top: 350px'>end</p></div>", []),
        ("<div style='height: 500px; transform: rotate(1deg)'>begin</div><p>end</p>", []),
    ],
)
def test_a_page_that_is_nearly_empty_is_noticed(chromium, body, expected):
    page = made(chromium, body)
    assert [number for number, _ink in nearly_empty(page)] == expected
    page.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ROW, True),
        (f"<div style='overflow: auto'>{ROW}</div>", True),
        (f"<div style='width: 900px'>{ROW.replace('<td>', '<td style=min-width:0>')}</div>", False),
        ("<p style='margin-left: -2rem'>left</p>", True),
        ("<p>inside</p>", False),
        (f"<p>{'x' * 300}</p>", True),
        (f"<p style='overflow-wrap: anywhere'>{'x' * 300}</p>", False),
    ],
)
def test_what_reaches_over_the_edge_is_noticed(chromium, body, expected):
    page = made(chromium, body)
    assert bool(cut(page)) is expected
    page.close()


def fleet(hosts, suffix):
    """Hosts of all kinds; of a fleet of one, a host that has findings."""
    kinds = data.KINDS if hosts > 1 else data.KINDS[1:]
    documents = [data.host(f"web{place:02}", kinds[place % len(kinds)]) for place in range(hosts)]
    return [{**document, "host": document["host"] + suffix} for document in documents]


@pytest.mark.parametrize(("hosts", "suffix"), [(1, ""), (1, LONG), (8, ""), (8, LONG), (60, LONG)])
@pytest.mark.parametrize("changes", [False, True])
def test_no_page_of_the_report_is_nearly_empty_and_no_column_is_cut(show, hosts, suffix, changes):
    before = [{**data.host(f"web{place:02}"), "host": f"web{place:02}{suffix}"} for place in range(hosts)] if changes else None
    report, _fleet = show(fleet(hosts, suffix), before=before)
    page = report.open()
    assert nearly_empty(page) == []
    assert cut(page) == []


@pytest.mark.parametrize("kind", ["healthy", "leaking", "noisy", "oopsing", "degraded"])
def test_nothing_of_an_opened_host_is_cut(show, kind):
    """Its last page may be short: it prints alone."""
    report, _fleet = show([{**data.host("web1", kind), "host": f"web1{LONG}"}, data.host("web2")])
    page = report.open(f"#host=web1{LONG}")
    page.wait_for_selector("dialog[open] .facts[data-filled=yes]", state="attached")
    assert cut(page) == []
