# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a browser shows it: from disk, without a network, and safe from what hosts send."""

import csv
import io
import json
import re
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect, sync_playwright

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError, validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.unit.fleet.test_selftest import case, selftest

ROLE = Path(__file__).resolve().parents[2] / "roles" / "report"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WITHIN = "all => all.map((node) => [node.parentElement.id, node.scrollWidth <= node.clientWidth])"
READY = "html[data-ready=yes]"

HOSTILE = [
    "<script>window.owned=1</script>",
    "</script><script>window.owned=2</script>",
    "\"><img src=x onerror='window.owned=3'>",
    "<svg/onload=window.owned=4>",
    "javascript:window.owned=5//",
    "</style><style>*{display:none}</style>",
    "{{7*7}}{% for x in (1,2) %}x{% endfor %}${7*7}",
    "<!--<script>window.owned=6</script>-->",
    "' onmouseover='window.owned=7' x='",
    "<iframe srcdoc='<script>parent.owned=8</script>'></iframe>",
    "=HYPERLINK(\"http://192.0.2.1/\")",
    "\x1b[31m\u202e\u0000<b>bold</b>&lt;&#60;",
    "</title><base href=//192.0.2.1/>",
    "__proto__",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Page:
    """One opened report, with everything it logged and asked for."""

    def __init__(self, context, path):
        self.url = path.as_uri()
        self.complaints, self.requests, self.refused = [], [], []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("requestfailed", lambda request: self.refused.append((request.url, request.failure)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, fragment=""):
        self.page.goto("about:blank")
        self.requests.clear()
        self.page.goto(self.url + fragment)
        self.page.wait_for_selector(READY, state="attached")
        return self.page

    def check(self):
        assert self.complaints == []
        assert {url.split("#")[0] for url in self.requests} == {self.url}


@pytest.fixture
def show(chromium, tmp_path):
    """Return a function that makes the report of host documents: (Page, fleet document). What it did is checked at the end."""
    shown = []

    def make(documents, width=1440, scheme="light", language="en", before=None, overrides=None, **changes):
        assets = Assets(str(ROLE), language)
        baseline = data.write(tmp_path / "before", before) if before else None
        folder = data.write(tmp_path, documents, **changes)
        fleet = build(folder, load_policy(overrides=overrides, translate=assets.rules), baseline, assets.translate)
        path = tmp_path / "report.html"
        path.write_text(render(fleet, assets, folder), encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown.append((context, Page(context, path)))
        return shown[-1][1], fleet

    yield make
    for context, page in shown:
        page.check()
        context.close()


def mixed():
    return [data.host(f"web{place}", kind) for place, kind in enumerate(data.KINDS)]


def test_a_finding_is_reached_by_clicking_and_can_be_linked(show):
    report, fleet = show(mixed())
    leak = next(group for group in fleet["findings"] if group["rule"] == "memleak-suspected")
    page = report.open()
    page.locator("#findings-table").get_by_text(leak["title"]).first.click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text(leak["remedy"])
    expect(dialog).to_contain_text("acme_ring_poll+0x4f [acme_nic]")
    assert f"finding={leak['id']}" in page.url
    linked = page.url.removeprefix(report.url)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).not_to_have_url(re.compile("finding="))

    report.open(linked)
    assert dialog.locator("h2").inner_text() == leak["title"]


def test_a_finding_shows_its_hosts_with_and_without_a_kernel_as_text(show):
    documents = [data.host(f"web{place}", "leaking" if place < 3 else "healthy") for place in range(8)]
    for place, document in enumerate(documents):
        document["system"]["kernel"] = "6.8.0-<img src=x onerror='window.owned=9'>" if place < 3 else "6.1.0-28"
    report, fleet = show(documents)
    leak = next(group for group in fleet["findings"] if group["rule"] == "memleak-suspected")
    page = report.open(f"#finding={leak['id']}")
    (line,) = page.locator("dialog[open] .rollout li").all_inner_texts()
    assert line == leak["rollout"][0]["sentence"]
    assert "window.owned=9'>: on 3 of 3 hosts with it, on 0 of 5 without it" in line
    assert page.evaluate("window.owned") is None


def test_findings_can_be_filtered_and_the_filter_can_be_linked(show):
    report, fleet = show(mixed())
    page = report.open("#severity=critical,error")
    rows = page.locator("#findings-table .tabulator-row")
    wanted = [group["title"] for group in fleet["findings"] if group["severity"] in ("critical", "error")]
    assert rows.count() == len(wanted) == 4
    page.get_by_role("button", name="critical", exact=True).click()
    expect(rows).to_have_count(3)
    page.get_by_label("Filter", exact=True).fill("java")
    expect(rows).to_have_count(1)
    assert "severity=error" in page.url
    assert "q=java" in page.url


def test_hosts_that_were_not_measured_have_rows_and_reasons(show):
    report, _fleet = show(mixed(), meant=[f"web{place}" for place in range(len(data.KINDS))] + ["gone"])
    page = report.open("#host=gone")
    assert "no result was collected" in page.locator("dialog[open]").inner_text()
    page.keyboard.press("Escape")
    table = page.locator("#hosts-table").inner_text()
    for said in ("unreachable", "failed", "lost", "missing", "Connection timed out", "No python interpreter", "did not answer"):
        assert said in table


def unfold(page):
    """Open every section of the page."""
    page.locator("section > details:not([open]) > summary").evaluate_all("(all) => all.forEach((one) => one.click())")


def test_every_section_shows_what_was_measured(show):
    report, _fleet = show(mixed())
    page = report.open()
    unfold(page)
    for section, said in {
        "leaks": "acme_rx_refill",
        "jitter": "stress-ng",
        "interference": "eth0-TxRx-3",
        "exceptions": "Killed process 811",
        "measurement": "degraded 1",
    }.items():
        assert said in page.locator(f"#{section}").inner_text(), section
    assert page.locator("#jitter-chart canvas").count() == 1


def over(page, picture, wanted):
    """Move the mouse over a picture until its legend shows the wanted text, and return where that is in the picture."""
    area = page.locator(f"#{picture} .u-over")
    area.scroll_into_view_if_needed()
    size = area.bounding_box()
    for down in range(6, int(size["height"]), 12):
        for right in range(2, int(size["width"]), 4):
            area.hover(position={"x": right, "y": down}, force=True)
            if wanted in page.locator(f"#{picture} .u-legend").inner_text():
                return area, {"x": right, "y": down}
    raise AssertionError(f"{picture} never says {wanted}")


def test_the_heat_map_shows_each_host_and_a_click_opens_it(show):
    report, fleet = show(mixed())
    page = report.open()
    measured = [host for host in fleet["hosts"] if (host.get("jitter") or {}).get("p99_us")]
    worst = max(measured, key=lambda host: host["jitter"]["p99_us"])
    assert len(measured) > 2
    area, at = over(page, "jitter-heat", worst["host"])
    assert at["x"] < area.bounding_box()["width"] / len(measured), "the worst host is the first"
    area.click(position=at)
    assert page.locator("dialog[open] h2").inner_text() == worst["host"]


DOMAIN = ".fra1.compute.prod.example-company.net"


def test_kernel_exceptions_are_counted_by_day_and_open_to_a_dot_for_each_host(show):
    old = data.exception(signature="old", title="An oops of long ago", last_seen="2019-01-01T00:00:00Z", first_seen=None)
    killed = data.exception(kind="oom", title="Out of memory", culprit=None, signature="oom:java", trace=[])
    documents = []
    for place in range(4):
        recent = data.exception(first_seen="2026-11-20T10:00:00Z", last_seen=f"2026-11-2{place % 2}T12:00:00Z")
        document = data.host(f"web{place}{DOMAIN}")
        document["probes"]["os_exceptions"] = data.envelope("os_exceptions", data.os_exceptions(recent, killed, *([] if place else [old])))
        documents.append(document)
    report, _fleet = show(documents)
    page = report.open()
    figure = page.locator("#exceptions-days")
    assert "1 without a date or from another month" in figure.locator("figcaption").inner_text()
    assert page.locator("#exceptions-table").get_by_text("An oops of long ago").count() == 1
    # the way in, of the two that have one
    assert page.locator("#exceptions-table").get_by_text("in acme_ring_poll, called by acme_poll").count() == 2
    heads = figure.locator("th").all_inner_texts()
    assert heads == ["Kind", "11-20", "21", "22", "23"]
    lanes = [row.locator("td").all_inner_texts() for row in figure.locator("tbody tr").all()]
    assert [lane[1:] for lane in lanes] == [["2", "2", "", ""], ["", "", "", "4"]]
    lane = figure.get_by_role("button", name="oops page fault")
    lane.click()
    dots = figure.locator("svg circle")
    expect(dots).to_have_count(4)
    assert dots.first.locator("title").text_content() in {f"web{place}: 2026-11-2{place % 2} 12:00 UTC" for place in range(4)}
    left, right = (figure.locator("circle").nth(place).bounding_box()["x"] for place in (0, 1))
    assert left != right, "time goes to the right"
    lane.click()
    expect(dots).to_have_count(0)


def test_a_page_of_400_hosts_with_long_names_is_short(show):
    report, _fleet = show([data.host(f"{role}-{place:05d}{DOMAIN}", data.KINDS[place % 5])
                           for place, role in enumerate(["edge", "k8s-node", "db", "kafka"] * 100)])  # fmt: skip
    page = report.open()
    assert page.evaluate("document.documentElement.scrollHeight") <= 9000
    assert page.locator(".meta").get_by_text(DOMAIN).count() == 1
    link = page.locator("#hosts-table a.to-host").first
    assert DOMAIN not in link.inner_text()
    assert link.locator("bdi").get_attribute("title").endswith(DOMAIN)


def test_headings_are_whole_and_the_order_of_a_table_is_seen(show):
    report, _fleet = show(mixed())
    page = report.open()
    page.evaluate("document.querySelectorAll('#sections details').forEach((part) => { part.open = true })")
    cut = """() => [...document.querySelectorAll('.tabulator-col-title')].filter((node) => node.offsetParent
      && node.scrollWidth > node.clientWidth + 1).map((node) => node.textContent)"""
    assert page.evaluate(cut) == []
    head = page.locator("#hosts-table .tabulator-col[tabulator-field=host]")
    before = head.locator(".tabulator-col-title").evaluate("node => getComputedStyle(node).textDecorationLine")
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    after = head.locator(".tabulator-col-title").evaluate("node => getComputedStyle(node).textDecorationLine")
    assert (before, after) == ("none", "underline")


def test_print_has_all_rows_in_light_colours_and_the_page_is_as_before_after_it(show):
    report, fleet = show([data.host(f"web{place:02}{DOMAIN}", data.KINDS[place % 5]) for place in range(45)], scheme="dark")
    page = report.open()
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    rows = page.locator("#hosts .printed tbody tr")
    assert rows.count() == len(fleet["hosts"]) == 45
    assert page.locator("#measurement .printed tbody tr").first.is_visible(), "what is folded is printed"
    assert not page.locator("#hosts-table").is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 29, 33)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen", color_scheme="dark")
    assert page.locator(".printed").count() == 0
    assert page.locator("#hosts-table").is_visible()
    assert not page.locator("#measurement-table").is_visible()


def test_a_picture_of_nothing_is_not_shown(show):
    report, _fleet = show([data.host("web1")])
    page = report.open()
    assert not page.locator("#jitter-heat").is_visible()
    assert not page.locator("#exceptions-days").is_visible()


def test_the_longest_runner_is_named_as_far_as_it_is_known(show):
    document = data.host("web1")
    unknown = {"idle_us": 4000.0, "unattributed_us": 21000.0}
    waits = data.wait(50000.0), data.wait(40000.0, longest_runner=None), data.wait(30000.0, longest_runner=None, **unknown)
    document["probes"]["runlatency"]["data"] = data.runlatency(*waits)
    report, _fleet = show([document])
    page = report.open()
    told = page.locator("#jitter-table .tabulator-cell[tabulator-field=longest_runner]")
    expect(told).to_have_text(["stress-ng (999), 45 ms of it", "the CPU was mostly idle", "not known: too many timeslices"])


def test_an_opened_row_is_fully_visible(show):
    report, _fleet = show(mixed())
    page = report.open()
    row = page.locator("#exceptions-table .tabulator-row").first
    row.locator("summary").click()
    excerpt = row.locator("pre").last
    expect(excerpt).to_contain_text("Call Trace:")
    inner, outer = excerpt.bounding_box(), page.locator("#exceptions-table").bounding_box()
    assert inner["y"] + inner["height"] <= outer["y"] + outer["height"]
    expect(page.locator("dialog[open]")).to_have_count(0)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window(show, width, scheme):
    report, fleet = show(mixed(), width=width, scheme=scheme)
    page = report.open()
    assert page.locator("h1").inner_text() == fleet["verdict"]["sentence"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    holders = page.locator(".tabulator-tableholder")
    assert holders.count() > 8
    assert [name for name, fits in holders.evaluate_all(WITHIN) if not fits] == []
    page.locator(".worst a").first.click()
    assert page.locator("dialog[open]").evaluate("node => node.scrollWidth <= node.clientWidth")


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ([], "there is no host in this scan"),
        (["healthy"], "All clear"),
        (["failed", "unreachable"], "The state of this fleet is unknown"),
    ],
)
def test_fleets_with_nothing_to_show_say_so(show, kinds, said):
    report, _fleet = show([data.host(f"web{place}", kind) for place, kind in enumerate(kinds)])
    page = report.open()
    assert said in page.locator("h1").inner_text()
    assert "No findings." in page.locator("#findings").inner_text()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_readers_can_use_the_page(show, width, scheme, language):
    """axe-core finds nothing, neither on the page nor in what it opens."""
    names = [f"web{place}{DOMAIN}" for place in range(30)]
    documents = [data.host(name, data.KINDS[place % len(data.KINDS)]) for place, name in enumerate(names)]
    report, fleet = show(documents, width, scheme, language, before=[data.host(names[1]), data.host(names[2])])
    page = report.open()
    page.evaluate(AXE)
    opened = [f"finding={fleet['findings'][0]['id']}", f"host={names[1]}", f"host={names[1]}&with={names[3]}"]
    for fragment in ("", "group=web&severity=error,critical", *opened):
        page.evaluate("fragment => { location.hash = fragment }", fragment)
        expect(page.locator("dialog[open]")).to_have_count(1 if fragment in opened else 0)
        expect(page.locator("#selection")).to_be_visible(visible=fragment.startswith("group="))
        if "with=" in fragment:
            expect(page.locator("dialog .settings")).to_have_attribute("data-filled", "yes")
        found = page.evaluate("async tags => (await axe.run(document, { runOnly: tags })).violations", WCAG)
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found] == []


def test_a_table_is_sorted_by_keyboard_and_the_order_can_be_linked(show):
    report, _fleet = show(mixed())
    page = report.open()
    head = page.locator("#hosts-table .tabulator-col[tabulator-field=host]")
    head.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"sort\.hosts=host%3Aasc"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"sort\.hosts=host%3Adesc"))
    page = report.open(page.url.removeprefix(report.url))
    expect(page.locator("#hosts-table .tabulator-row").first).to_contain_text("web7")


def test_the_page_of_a_table_is_in_the_address_until_a_filter_makes_it_the_first(show):
    report, _fleet = show([data.host(f"web{place:02}") for place in range(45)])
    page = report.open()
    page.locator("#hosts .tabulator-page[data-page='2']").click()
    expect(page).to_have_url(re.compile(r"page\.hosts=2"))
    page = report.open(page.url.removeprefix(report.url))
    rows = page.locator("#hosts-table .tabulator-row")
    expect(rows.first).to_contain_text("web10")
    page.locator("#q").fill("web0")
    expect(rows).to_have_count(10)
    expect(page).not_to_have_url(re.compile(r"page\.hosts"))


def test_one_filter_is_for_findings_map_and_hosts(show):
    report, fleet = show([*mixed(), data.host("db1", "noisy")])
    page = report.open()
    page.get_by_label("Category", exact=True).select_option("latency")
    page.get_by_label("Group", exact=True).select_option("db")
    expect(page.locator("#map-table .tabulator-row")).to_have_count(1)
    assert "category=latency&group=db" in page.url
    page = report.open(page.url.removeprefix(report.url))
    late = [group for group in fleet["findings"] if group["category"] == "latency" and "db1" in [host["host"] for host in group["hosts"]]]
    assert late and page.locator("#findings-table .tabulator-row").count() == len(late)
    assert page.locator("#map-table .tabulator-row").text_content().startswith("db1")
    assert page.locator("#hosts-table .tabulator-row").all_inner_texts()[0].startswith("db1")


def test_what_is_seen_is_saved_as_csv_without_formulas(show):
    odd = data.host("=1+1", "leaking")
    report, _fleet = show([odd, data.host("web1", "oopsing")])
    page = report.open("#severity=critical")
    with page.expect_download() as saved:
        page.locator("#findings-table ~ .tools button").click()
    rows = list(csv.reader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
    assert [row[0] for row in rows] == ["Severity", "critical"]
    page = report.open()
    with page.expect_download() as saved:
        page.locator("#hosts-table ~ .tools button").click()
    rows = list(csv.reader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
    assert {row[0] for row in rows} == {"Host", "'=1+1", "web1"}


def test_causes_changes_and_compliance_are_shown(show):
    documents = [data.host(f"web{place}", "leaking" if place < 8 else "healthy") for place in range(40)]
    for place, document in enumerate(documents):
        document["system"]["modules"] = ["ext4", *(["acme_nic"] if place < 8 else [])]
    report, fleet = show(documents, before=[data.host(f"web{place}") for place in range(40)])
    leak = next(group for group in fleet["findings"] if group["rule"] == "memleak-suspected")
    page = report.open(f"#finding={leak['id']}")
    said = page.locator("dialog[open]").inner_text()
    assert "module acme_nic" in said and "8 / 8 (100 %)" in said and "8 new" in said
    page.keyboard.press("Escape")
    assert "16 new" in page.locator(".tiles").inner_text()
    unfold(page)
    assert "8 new" in page.locator("#changes-table").inner_text()
    row = page.locator("#compliance-table .tabulator-row", has_text="memleak-suspected")
    assert row.locator("[tabulator-field=fail]").text_content() == "8"


def test_the_page_is_chinese(show):
    report, fleet = show(mixed(), language="zh")
    page = report.open()
    assert page.locator("h1").inner_text() == fleet["verdict"]["sentence"]
    unfold(page)
    for section, said in {"#findings": "严重程度", "#map": "泄漏", "#compliance": "不合规", "#hosts": "无法连接", "#leaks": "函数"}.items():
        assert said in page.locator(section).inner_text(), section


def test_self_tests_are_shown_with_their_limits(show, tmp_path):
    cases = [
        case("slab"),
        case("vmalloc", "partial"),
        case("runq", "failed", probe="runlatency"),
        case("irqoff", "not_run", probe="runlatency"),
    ]
    selftest(tmp_path, data.SCAN_ID, *cases)
    page = show(mixed())[0].open()
    unfold(page)
    section = page.locator("#selftest")
    expect(section.locator(".lead")).to_have_text("Validated on 6.1.0-28-amd64 on 2026-11-23; 2 cases not passed.")
    rows = section.locator(".tabulator-row").all()
    assert [[row.locator(f"[tabulator-field={field}]").inner_text() for field in ("title", "verdict", "reason")] for row in rows] == [
        ["leak of slab", "passed", ""],
        ["leak of vmalloc", "partial", "vmalloc is partial"],
        ["leak of runq", "failed", "runq is failed"],
    ]


# What people read in any language: names of things, units, and what hosts, operators and web sites call themselves.
NAMES = set(
    """KSysAK ksysak.fleet ksysak_baseline selftest playbook UTC CSV CPU MAD KiB MiB GiB ms bcc procfs journal logs sysfs memleak runlatency
    interference os_exceptions hardirq softirq timer hrtimer ipi slab page vmalloc PID oops p50 p90 p99 p999 scan.json fleet.json
    default ci95 meminfo host_health kdump memory kernel module acme severity info Markdown limit""".split()
)
SHOWN_TEXTS = """() => {
  const found = new Set()
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const own = (node) => !node.parentElement.closest('bdi, pre, [translate=no], script, style, noscript, footer details')
  while (walk.nextNode()) if (own(walk.currentNode)) found.add(walk.currentNode.data.trim())
  for (const name of ['aria-label', 'placeholder', 'title']) {
    for (const node of document.querySelectorAll(`[${name}]:not([translate=no])`)) found.add(node.getAttribute(name))
  }
  return [...found]
}"""
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.'-]*[A-Za-z0-9]")


def test_nothing_but_names_is_english_on_another_page(show, tmp_path):
    selftest(tmp_path, data.SCAN_ID, case("slab"), case("vmalloc", "partial"))
    report, fleet = show(mixed(), language="zh", before=[data.host("web1", "oopsing"), data.host("gone")])
    page = report.open()
    texts = set(page.evaluate(SHOWN_TEXTS))
    for key, names in {"finding": [group["id"] for group in fleet["findings"]], "host": ["web1", "web4", "web5"]}.items():
        for name in names:
            page.evaluate("(fragment) => { location.hash = fragment }", f"{key}={name}")
            expect(page.locator("#detail")).to_be_visible()
            page.locator("#detail details:not([open]) > summary").evaluate_all("(all) => all.forEach((one) => one.click())")
            texts |= set(page.evaluate(SHOWN_TEXTS))
            page.locator("#detail .close").click()
            page.wait_for_function("(key) => !location.hash.includes(key)", arg=f"{key}=")
    assert len(texts) > 300
    own = [event["title"] for event in fleet["exceptions"]["events"]] + [fleet["scan"]["scan_id"], data.host("web1")["system"]["kernel"]]
    own += [fleet["compliance"]["sha256"][:12], *{rule["file"] for rule in fleet["compliance"]["rules"]}]
    own += [name for host in fleet["hosts"] for name in (host["host"], *host["groups"])] + [
        address[8:] for group in fleet["findings"] for address in group["references"]
    ]
    pattern = re.compile("|".join(re.escape(name) for name in sorted(own, key=len, reverse=True)))
    assert {word: text for text in texts for word in WORD.findall(pattern.sub(" ", text)) if word not in NAMES} == {}


def poisoned(document):
    """Return the document with something hostile in every string that its schema leaves free, and how many there were."""
    count = 0

    def visit(node, keys):
        nonlocal count
        for key in keys:
            value = node[key]
            if isinstance(value, dict):
                visit(value, list(value))
            elif isinstance(value, list):
                visit(value, range(len(value)))
            elif isinstance(value, str):
                node[key] = f"{count % 97}{HOSTILE[count % len(HOSTILE)]}"
                count += 1
                try:
                    validate(document)
                except SchemaError:
                    node[key] = value
                    count -= 1

    visit(document, [key for key in document if key not in ("schema", "scan_id", "state")])
    return document, count


def test_nothing_that_a_host_sends_is_ever_more_than_text(show):
    documents, total = [], 0
    for kind in data.KINDS:
        document = data.host(f"web-{kind}", kind)
        for number in range(len(HOSTILE)):
            other = json.loads(json.dumps(document))
            other["groups"] = HOSTILE[number:] + HOSTILE[:number]
            poisoned_one, count = poisoned(other)
            poisoned_one["host"] = f"{kind}{number} {HOSTILE[number]}"
            documents.append(poisoned_one)
            total += count
    assert total > 2000
    report, fleet = show(documents)
    assert fleet["problems"] == []
    page = report.open()
    heading = page.locator("#detail-title")
    for group in fleet["findings"][:40]:
        page.evaluate("fragment => { location.hash = fragment }", f"finding={group['id']}")
        expect(heading).to_have_js_property("textContent", group["title"])
        page.evaluate("document.querySelectorAll('dialog details').forEach((part) => { part.open = true })")
    for document in documents[:: len(HOSTILE) - 1]:
        name = next(host["host"] for host in fleet["hosts"] if host["host"].startswith(document["host"].split(" ")[0] + " "))
        page.evaluate("name => { location.hash = new URLSearchParams({ host: name }) }", name)
        expect(heading).to_have_js_property("textContent", name)
    page.keyboard.press("Escape")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    assert page.evaluate("window.owned") is None
    assert page.evaluate("document.querySelectorAll('img, iframe, base, object, embed, svg:not(.bar):not(.curve), b').length") == 0
    assert (
        page.evaluate(
            "[...document.querySelectorAll('*')].filter((node) => [...node.attributes].some((a) => a.name.startsWith('on'))).length"
        )
        == 0
    )
    hrefs = page.evaluate("[...document.querySelectorAll('a')].map((node) => node.href)")
    assert all(href.startswith((report.url, "https://docs.kernel.org/")) for href in hrefs)
    shown = page.evaluate("document.body.innerText")
    for literal in ("<script>window.owned=1</script>", "{{7*7}}", "<svg/onload=window.owned=4>"):
        assert literal in shown


def test_the_page_refuses_what_is_not_its_own(show):
    report, _fleet = show([data.host("web1")])
    page = report.open()
    page.evaluate(
        """() => {
          const script = document.createElement('script'); script.textContent = 'window.owned = 1'; document.body.append(script)
          const image = document.createElement('img'); image.src = 'http://192.0.2.1/x.png'; document.body.append(image)
          document.body.insertAdjacentHTML('beforeend', '<p id=inline style="color: red" onclick="window.owned = 2">x</p>')
          document.getElementById('inline').click()
        }"""
    )
    asked = page.evaluate("fetch('http://192.0.2.1/').then(() => 'answered', () => 'refused')")
    assert (asked, page.evaluate("window.owned")) == ("refused", None)
    assert len(report.complaints) >= 4
    assert all("Content Security Policy" in complaint for complaint in report.complaints)
    assert ("http://192.0.2.1/x.png", "csp") in report.refused
    report.complaints.clear()
    report.requests[:] = [report.url]


def test_without_scripts_the_verdict_is_still_there(chromium, tmp_path):
    fleet = build(data.write(tmp_path, mixed()), load_policy())
    path = tmp_path / "report.html"
    path.write_text(render(fleet, Assets(str(ROLE))), encoding="utf-8")
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    shown = page.locator("body").inner_text()
    context.close()
    assert fleet["verdict"]["sentence"] in shown
    assert fleet["findings"][0]["title"] in shown
    assert "This browser runs no scripts" in shown
