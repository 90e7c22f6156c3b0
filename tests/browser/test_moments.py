# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits and stalls of one host by time and delay: in an opened host, in the report of a single host, on paper, in Chinese."""

import pytest
from playwright.sync_api import expect

from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.browser import test_report

chromium, show = test_report.chromium, test_report.show

WINDOW_S = 20.0
CAUSES = ("run_queue", "throttled", "realtime_throttled", "affinity", "cpu_not_running", "idle")
# Where there is a pixel of a colour within the plot of a chart: [left, top, right, bottom] in shares of it, null: nowhere.
MARKED = """(figure, name) => {
  const canvas = figure.querySelector('canvas')
  const [over, all] = [figure.querySelector('.u-over'), canvas].map((node) => node.getBoundingClientRect())
  const scale = canvas.width / all.width
  const probe = document.createElement('canvas').getContext('2d')
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  probe.fillRect(0, 0, 1, 1)
  const wanted = probe.getImageData(0, 0, 1, 1).data
  const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height })
  const read = copy.getContext('2d', { willReadFrequently: true })
  read.drawImage(canvas, 0, 0)
  const { data, width } = read.getImageData(0, 0, copy.width, copy.height)
  const found = []
  for (let at = 0; at < data.length; at += 4)
    if ([0, 1, 2].every((part) => data[at + part] === wanted[part]) && data[at + 3] === 255)
      found.push([(at / 4) % width, Math.floor(at / 4 / width)])
  if (!found.length) return null
  const [x, y] = [0, 1].map((axis) => found.map((one) => one[axis]).sort((one, other) => one - other))
  const [left, top] = [(over.left - all.left) * scale, (over.top - all.top) * scale]
  const share = (value, from, size) => (value - from) / (size * scale)
  return [share(x[0], left, over.width), share(y[0], top, over.height),
    share(x.at(-1), left, over.width), share(y.at(-1), top, over.height)]
}"""


def measured(name, waits=(), stalls=()):
    document = data.host(name)
    found = {**data.runlatency(*waits), **data.stalled(*stalls)}
    document["probes"]["runlatency"] = data.envelope("runlatency", found, window_s=WINDOW_S)
    return document


def wait(delay_us, at_s, cause="run_queue"):
    return data.wait(delay_us, at_s=at_s, cause=cause)


def opened(show, *documents, **how):
    """Return (page, figure of the first host's page)."""
    report, _fleet = show([*documents, data.host("other1")], **how)
    page = report.open(f"#host={documents[0]['host']}")
    page.wait_for_selector("dialog[open] .facts[data-filled=yes]", state="attached")
    return page, page.locator("dialog[open] figure:has(#host-moments)")


def rows(figure):
    figure.locator("summary").click()
    expect(figure.locator("details tbody")).to_be_visible()
    return [line.split("\t") for line in figure.locator("details tbody").inner_text().splitlines()]


def test_a_host_without_waits_has_no_picture_of_them(show):
    _page, figure = opened(show, measured("web1"))
    assert figure.count() == 0


def test_one_wait_stands_at_its_time_and_delay(show):
    _page, figure = opened(show, measured("web1", [wait(3000.0, 5.0)]))
    left, top, right, bottom = figure.evaluate(MARKED, "--wakeup")
    assert (left + right) / 2 == pytest.approx(5.0 / WINDOW_S, abs=0.02)
    # log2(3000) between 2048 and 4096, from below
    assert 1 - (top + bottom) / 2 == pytest.approx(0.55, abs=0.03)
    assert rows(figure) == [["5 s", "3 ms", "others ran", "nginx (4711)", "1"]]
    caption = figure.locator("figcaption").inner_text()
    assert "Only the longest waits have a time: 1 of " in caption


@pytest.mark.parametrize("at_s", [0.0, WINDOW_S])
def test_a_wait_at_an_edge_of_the_window_is_seen_as_a_whole(show, at_s):
    _page, figure = opened(show, measured("web1", [wait(5000.0, at_s), wait(3000.0, 10.0)]))
    left, _top, right, _bottom = figure.evaluate(MARKED, "--wakeup")
    at = at_s / WINDOW_S
    outer = right if at else left
    assert outer == pytest.approx(at + (0.008 if at else -0.008), abs=0.006), "half of the mark is beyond the edge"


def test_many_waits_have_a_series_for_each_cause(show):
    waits = [wait(1000.0 * (place + 1), place * WINDOW_S / 63, CAUSES[place % len(CAUSES)]) for place in range(64)]
    _page, figure = opened(show, measured("web1", waits))
    assert figure.locator(".u-legend .u-label").all_inner_texts() == [
        "At", "others ran", "CPU quota", "limit for real-time tasks", "may not use other CPUs",
        "the CPU did not run: a pause", "the CPU was idle",
    ]  # fmt: skip
    for name in ("--wakeup", "--preempted", "--fatal", "--clear", "--critical", "--unknown"):
        assert figure.evaluate(MARKED, name), name
    assert len(rows(figure)) == 64


def test_stalls_are_hollow_and_named(show):
    stalls = [data.stall("irqoff", 24000.0, at_s=4.0), data.stall("syscall", 90000.0, at_s=16.0)]
    _page, figure = opened(show, measured("web1", [], stalls))
    assert figure.locator(".u-legend .u-label").all_inner_texts() == ["At", "interrupts off", "long system call"]
    left, _top, right, _bottom = figure.evaluate(MARKED, "--fatal")
    assert left < 4.0 / WINDOW_S < right
    assert [row[2] for row in rows(figure)] == ["interrupts off", "long system call"]


def test_the_report_of_a_single_host_has_the_picture_and_one_of_several_has_it_not(show):
    documents = [measured("web1", [wait(30000.0, 7.0)])]
    report, _fleet = show(documents)
    page = report.open()
    figure = page.locator("#jitter figure:has(#jitter-moments)")
    left, _top, right, _bottom = figure.evaluate(MARKED, "--wakeup")
    assert (left + right) / 2 == pytest.approx(7.0 / WINDOW_S, abs=0.02)


def test_a_report_of_several_hosts_has_no_picture_of_one(show):
    report, _fleet = show([measured("web1", [wait(30000.0, 7.0)]), data.host("web2")])
    assert report.open().locator("#jitter-moments").count() == 0


def test_the_picture_follows_colours_and_is_chinese(show):
    waits = [wait(3000.0, 5.0), wait(90000.0, 6.0, "throttled")]
    page, figure = opened(show, measured("web1", waits, [data.stall("nosched", 20000.0, at_s=1.0)]), scheme="dark", language="zh")
    assert figure.evaluate(MARKED, "--wakeup")
    assert "English" not in figure.inner_text() and "others ran" not in figure.inner_text()
    expect(figure.locator("figcaption")).to_contain_text("只有最长的等待带有时刻")
    page.emulate_media(color_scheme="light")
    assert figure.evaluate(MARKED, "--wakeup"), "in the blue of the light page"


def test_a_text_of_a_host_is_only_text(show):
    hostile = "<img src=x onerror='window.owned=1'>"
    page, figure = opened(show, measured("web1", [data.wait(3000.0, comm=hostile, at_s=1.0)]))
    figure.locator("summary").click()
    expect(figure.locator("details tbody")).to_contain_text(hostile)
    assert page.evaluate("window.owned") is None
