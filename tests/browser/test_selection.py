# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page shows of a team, a host and a change is theirs; names are as long as those of real fleets."""

import re

import pytest
from playwright.sync_api import expect

from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.browser import test_report

chromium, show = test_report.chromium, test_report.show

HOSTS = 30


def named(place):
    return f"edge-{place:05d}.rack{place % 40:02d}.fra1.prod.corp.example.net"


def noisy(place, delay_us, *groups):
    document = data.host(named(place))
    document["groups"] = ["all", *groups]
    document["probes"]["runlatency"]["data"] = data.runlatency(data.wait(delay_us, longest_runner=f"runner-{place}"))
    return document


@pytest.fixture
def teams(show):
    """A finding on 30 hosts of two teams; each host has its own number, and half of them had it before."""
    now = [noisy(place, 21000.0 + 10000 * place, "team-data" if place % 3 else "team-shop") for place in range(HOSTS)]
    before = [noisy(place, 21000.0 + 10000 * place) if place % 2 else data.host(named(place)) for place in range(HOSTS)]
    before += [noisy(HOSTS, 50000.0)]
    return show([*now, data.host(named(HOSTS))], before=before)


def waits(fleet):
    (group,) = [group for group in fleet["findings"] if group["rule"] == "runq-latency"]
    return group


def test_a_host_is_shown_with_its_own_number_severity_and_evidence(teams):
    report, fleet = teams
    group = waits(fleet)
    assert len({member["title"] for member in group["hosts"]}) == HOSTS
    for member in (group["hosts"][0], group["hosts"][12], group["hosts"][-1]):
        page = report.open(f"#host={member['host']}")
        link = page.locator("dialog[open] .own-findings a")
        expect(link).to_have_text(member["title"])
        assert page.locator("dialog[open] .own-findings .badge").inner_text() == member["severity"]
        link.click()
        expect(page.locator("dialog[open] h2")).to_have_text(member["title"])
        part = page.locator("dialog[open] details[data-host]").first
        expect(part).to_have_attribute("data-host", member["host"])
        runner = f"runner-{int(member['host'][5:10])}"
        expect(part).to_contain_text(runner)


def test_evidence_of_every_host_of_a_finding_can_be_opened(teams):
    report, fleet = teams
    group = waits(fleet)
    page = report.open(f"#finding={group['id']}")
    parts = page.locator("dialog[open] details[data-host]")
    expect(parts).to_have_count(HOSTS)
    page.evaluate("document.querySelectorAll('dialog details[data-host]').forEach((part) => { part.open = true })")
    for place, member in enumerate(group["hosts"]):
        expect(parts.nth(place)).to_contain_text(f"runner-{int(member['host'][5:10])}")


def test_everything_of_a_host_is_in_the_page(teams):
    report, _fleet = teams
    page = report.open(f"#host={named(3)}")
    facts = page.locator("dialog[open] .facts")
    expect(facts).to_have_attribute("data-filled", "yes")
    for said in ("Leaks", "Jitter", "Interference", "OS exceptions", "Host health", "Modules", "acme_nic, ext4"):
        expect(facts).to_contain_text(said)
    page.evaluate("document.querySelectorAll('dialog .facts details').forEach((part) => { part.open = true })")
    for said in ("runner-3", "ext4_alloc_inode", "eth0-TxRx-0"):
        expect(facts).to_contain_text(said)


def test_the_whole_page_follows_a_group(teams):
    report, fleet = teams
    group = waits(fleet)
    own = [member for member in group["hosts"] if int(member["host"][5:10]) % 3 == 0]
    page = report.open("#group=team-shop")
    expect(page.locator("#selection")).to_contain_text(f"Selected: {len(own)} of {HOSTS + 1} hosts")
    row = page.locator("#findings-table .tabulator-row")
    expect(row).to_contain_text(f"{len(own)} of {HOSTS}")
    expect(row).to_contain_text(own[0]["title"])
    expect(page.locator(".worst")).to_contain_text(own[0]["title"])
    new = sum(member["change"] == "new" for member in own)
    expect(page.locator(".tile [data-change=new] strong")).to_have_text(str(new))
    expect(page.locator("#hosts-table .tabulator-row")).to_have_count(10)
    shown = page.locator("#groups-table .tabulator-row", has_text="team-data")
    expect(shown).to_have_count(0)
    page.locator("#selection a").click()
    expect(page.locator("#selection")).to_be_hidden()
    expect(page.locator(".worst")).to_contain_text(group["title"])


def test_a_change_selects_pairs(teams):
    report, fleet = teams
    new = {member["host"] for member in waits(fleet)["hosts"] if member["change"] == "new"}
    page = report.open("#change=new")
    expect(page.locator("#findings-table .tabulator-row")).to_contain_text(f"{len(new)} of {HOSTS}")
    expect(page.locator("#selection")).to_contain_text(f"Selected: {len(new)} of {HOSTS + 1} hosts")
    gone = next(change for change in ("resolved", "rebooted") if fleet["drift"]["counts"][change])
    page = report.open(f"#change={gone}")
    expect(page.locator("#selection")).to_contain_text(f"Selected: 1 of {HOSTS + 1} hosts, 0 of")
    expect(page.locator("#hosts-table .tabulator-row")).to_contain_text(["edge-00030"])


def test_links_keep_the_filter(teams):
    report, fleet = teams
    page = report.open("#group=team-shop&q=edge")
    page.locator(".sections a", has_text="Hosts").click()
    expect(page).to_have_url(re.compile("group=team-shop"))
    expect(page).to_have_url(re.compile("at=hosts"))
    page.locator(".tile a.is-error").click()
    expect(page).to_have_url(re.compile("group=team-shop.*severity=error"))
    page.locator(".worst a").first.click()
    expect(page).to_have_url(re.compile("group=team-shop.*finding="))
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.locator("dialog[open] .members a", has_text="All results of this host").first.click()
    expect(page).to_have_url(re.compile("group=team-shop.*host="))
    expect(page).not_to_have_url(re.compile("finding="))
    page.go_back()
    expect(page.locator("dialog[open] h2")).to_contain_text("waited up to")


def test_the_policy_in_force_is_on_the_page(show):
    documents = [noisy(place, 310000.0) for place in range(3)]
    report, fleet = show(documents, overrides={"runq-latency": {"delay_us": 100000000}, "cpu-pressure": {"enabled": False}})
    page = report.open("#rule=runq-latency")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Long wait for a CPU")
    for said in ("delay_us", "20000 → 100000000", "ksysak_policy_overrides", "3 findings on 3 hosts not reported", "requests time out"):
        expect(dialog).to_contain_text(said)
    page.keyboard.press("Escape")
    assert fleet["verdict"]["level"] == "incomplete"
    shown = page.locator(".verdict").inner_text()
    assert "Off: cpu-pressure (ksysak_policy_overrides)" in shown
    assert "runq-latency: delay_us 20000 → 100000000" in shown
    assert fleet["compliance"]["sha256"][:12] in page.locator("#compliance").text_content()


def test_hosts_without_room_name_the_file_that_has_them(show, monkeypatch):
    monkeypatch.setattr("ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html.PAGE_BYTES", 0)
    report, fleet = show([noisy(0, 50000.0)])
    page = report.open(f"#host={named(0)}")
    expect(page.locator("dialog[open] .facts")).to_contain_text(f"hosts/{named(0)}.json in the folder of the scan has them")
    page = report.open(f"#finding={waits(fleet)['id']}")
    expect(page.locator("dialog[open] .members")).to_contain_text("fleet.json has the evidence")


def chart_table(page, picture):
    """The cells of the table of a chart, opened."""
    table = page.locator(f"figure:has(> #{picture}) details.data")
    if table.get_attribute("open") is None:
        table.locator("summary").click()
    expect(table.locator("tbody tr")).not_to_have_count(0)  # it is made after the click
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]


def percentiles(page):
    return [row.locator("td").nth(1).inner_text() for row in page.locator("#jitter-percentiles tbody tr").all()]


def test_charts_of_waits_follow_the_selection(teams):
    report, fleet = teams
    page = report.open()
    whole, hosts = percentiles(page), chart_table(page, "jitter-heat")
    assert len(hosts) == HOSTS + 1
    expect(page.locator("#jitter .split figcaption")).to_contain_text("all hosts together.")
    page.locator("#q").fill("edge")
    expect(page.locator("#jitter .split figcaption")).to_contain_text(f"{HOSTS + 1} hosts of the selection")
    assert percentiles(page) == whole, "those of all hosts, counted from their own waits"
    page.evaluate("location.hash = 'group=team-shop'")
    expect(page.locator("#jitter .split figcaption")).to_contain_text("10 hosts of the selection")
    own = [member["host"] for member in waits(fleet)["hosts"] if int(member["host"][5:10]) % 3 == 0]
    assert {row[0] for row in chart_table(page, "jitter-heat")} == {name.removesuffix(".fra1.prod.corp.example.net") for name in own}
    assert percentiles(page)[-1] == f"{21 + 10 * 27} ms"
    counted = sum(int(row[1].replace(",", "")) for row in chart_table(page, "jitter-chart"))
    assert counted == sum(host["jitter"]["count"] for host in fleet["hosts"] if host["host"] in own)
    page.evaluate("location.hash = 'q=edge-00000'")
    expect(page.locator("#jitter .split figcaption")).to_contain_text("1 host of the selection")
    page.evaluate("location.hash = ''")
    expect(page.locator("#jitter .split figcaption")).to_contain_text("all hosts together.")
    assert percentiles(page) == whole


def test_the_days_of_exceptions_follow_the_selection(show):
    documents = []
    for place in range(60):  # more than the section lists of one report
        document = data.host(named(place))
        document["groups"] = ["all", "odd" if place % 2 else "even"]
        event = data.exception(first_seen=None, last_seen=f"2026-11-2{place % 2}T12:00:00Z")
        document["probes"]["os_exceptions"]["data"] = data.os_exceptions(event)
        documents.append(document)
    report, _fleet = show(documents)
    page = report.open()
    cells = page.locator("#exceptions-days tbody td")
    expect(cells).to_have_text(["oops page fault", "30", "30", "", ""])
    page.evaluate("location.hash = 'group=odd'")
    expect(cells).to_have_text(["oops page fault", "30", "", ""])
    page.locator("#exceptions-days .lane").click()
    expect(page.locator("#exceptions-days circle")).to_have_count(30)
    page.evaluate("location.hash = 'q=nothing'")
    expect(page.locator("#exceptions-days")).to_be_hidden()
    page.evaluate("location.hash = ''")
    expect(cells).to_have_text(["oops page fault", "30", "30", "", ""])


def test_what_does_not_follow_a_selection_says_so(teams):
    report, _fleet = teams
    page = report.open()
    page.locator("#measurement > details > summary").click()
    expect(page.locator("#measurement .whole")).to_be_hidden()
    page.evaluate("location.hash = 'group=team-shop'")
    expect(page.locator("#measurement .whole")).to_have_text("Of the whole fleet, whatever is selected.")
    expect(page.locator("#measurement .whole")).to_be_visible()


def test_a_finding_counts_once_in_the_row_of_a_group(teams):
    """The waits of the group have both severities, by host; its row has one finding of the worse one, as the tiles do."""
    report, fleet = teams
    assert {member["severity"] for member in waits(fleet)["hosts"]} == {"error", "warning"}
    page = report.open()
    row = page.locator("#groups-table .tabulator-row", has_text="team-data")
    expect(row.locator("[tabulator-field=kinds]")).to_have_text("1 error")
    expect(row.locator("[tabulator-field=worst]")).to_have_text("error")


def test_500_groups_a_host_in_all_of_them_and_a_group_of_one_host(show):
    names = [f"group-{place:03d}" for place in range(500)]
    documents = [noisy(place, 50000.0, *(names if place == 0 else names[place : place + 1])) for place in range(20)]
    documents[7]["groups"].append("alone")
    report, fleet = show(documents)
    assert len(fleet["hosts"][0]["groups"]) == 501
    page = report.open()
    assert page.evaluate("document.documentElement.scrollHeight") < 9000
    cell = page.locator("#hosts-table .tabulator-row", has_text="edge-00000").locator("[tabulator-field=groups]")
    expect(cell).to_have_text("group-000, group-001, group-002, group-003, group-004, group-005 +494")
    expect(page.locator("#groups .tabulator-page-counter")).to_contain_text("502")  # groups, the one alone, a kernel
    page.get_by_label("Group", exact=True).select_option("group-499")
    expect(page.locator("#selection")).to_contain_text("Selected: 1 of 20 hosts, 1 of 1 finding.")
    expect(page.locator("#groups-table")).to_contain_text("group-000")
    page.get_by_label("Group", exact=True).select_option("alone")
    expect(page.locator("#findings-table .tabulator-row")).to_contain_text("1 of 20")
    expect(page.locator("#hosts-table .tabulator-row")).to_contain_text(["edge-00007"])
    page = report.open(f"#host={named(0)}&group=alone")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("group-499")
    assert dialog.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_no_number_breaks_within_its_digits(show):
    loud = data.vector("hardirq", "eth0-TxRx-3", 31, {1: (410000000, 9100000.0, 88.0)})
    documents = [data.host(named(place)) for place in range(9)]
    for document in documents:
        document["probes"]["interference"]["data"] = data.interference(loud)
    report, _fleet = show(documents)
    page = report.open()
    cells = page.locator("#vectors-table .tabulator-cell.number:visible")
    assert "3,690,000,000" in cells.all_inner_texts()
    lines = """(all) => all.filter((cell) => /^[\\d,.]+$/.test(cell.innerText)).map((cell) => {
      const range = document.createRange(); range.selectNodeContents(cell); return [cell.innerText, range.getClientRects().length] })"""
    assert [text for text, count in cells.evaluate_all(lines) if count != 1] == []
