# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts side by side: findings, modules, settings; by link, by keyboard, in Chinese, on paper."""

import re

from playwright.sync_api import expect

from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.browser import test_report
from ansible_collections.ksysak.fleet.tests.browser.test_selection import named, noisy

chromium, show = test_report.chromium, test_report.show


def two():
    """A host with a wait, another kernel, module and panic setting than the other one; a third like the first; one that is not there."""
    odd = noisy(0, 50000.0, "edge", "team-network")
    odd["system"].update(kernel="5.10.0-33-amd64", modules=["acme_nic", "ext4", "nvidia"])
    odd["probes"]["host_health"]["data"]["panic_settings"] = {"panic": 0, "watchdog": 1}
    usual = data.host(named(1))
    usual["system"]["modules"] = ["ext4", "xfs"]
    usual["probes"]["runlatency"] = data.envelope("runlatency", {}, "skipped", "bcc is missing", "install it")
    alike = noisy(2, 60000.0, "edge", "team-network")
    return [odd, usual, alike, data.host(named(3), "unreachable")]


def rows(page, heading):
    """The cells of the table after a heading of the dialog, as texts."""
    table = page.locator("dialog h3", has_text=re.compile(f"^{heading}$")).locator("xpath=following::table[1]")
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]


def test_what_differs_between_two_hosts_is_shown_and_can_be_linked(show):
    report, fleet = show(two())
    page = report.open(f"#host={named(0)}&with={named(1)}")
    dialog = page.locator("dialog[open]")
    expect(dialog.locator(".settings")).to_have_attribute("data-filled", "yes")
    (wait,) = [group for group in fleet["findings"] if group["rule"] == "runq-latency"]
    own = next(member["title"] for member in wait["hosts"] if member["host"] == named(0))
    assert ["latency", f"warning {own}", "not measured"] in rows(page, "Findings")
    kernel = [row for row in rows(page, "System") if row[0].endswith("kernel")]
    assert kernel == [["≠ kernel", "5.10.0-33-amd64", "6.1.0-28-amd64"]]
    assert not [row for row in rows(page, "System") if row[0].endswith("arch")], "what is the same is folded"
    expect(dialog).to_contain_text("Only on edge-00000.rack00: acme_nic, nvidia")
    expect(dialog).to_contain_text("Only on edge-00001.rack01: xfs")
    changed = {row[0]: row[1:] for row in rows(page, "Settings")}
    assert changed["≠ panic settings: panic"] == ["0", "10"]
    assert changed["≠ panic settings: panic on oops"] == ["–", "1"]
    assert "≠ panic settings: watchdog" not in changed
    assert ["≠ runlatency", "ok", "skipped"] in rows(page, "Probes")
    dialog.locator("a.to-finding", has_text=own).click()
    expect(page).not_to_have_url(re.compile("with="))
    expect(dialog.locator("h2")).to_have_text(own)
    page.go_back()
    expect(dialog.locator("h2")).to_have_text("edge-00000.rack00 · edge-00001.rack01")


def test_a_host_is_compared_by_keyboard(show):
    report, _fleet = show(two())
    page = report.open(f"#host={named(0)}")
    dialog = page.locator("dialog[open]")
    expect(dialog.locator("a.to-host").first).to_have_text("edge-00002.rack02")  # most alike
    field = page.get_by_label("Compare with")
    field.focus()
    for wrong in ("nobody", named(0)):
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(dialog.locator("form [role=status]")).to_have_text("Not another host of this report.")
    field.fill("edge-00003")
    assert page.locator("#with-names option").evaluate_all("(all) => all.map((one) => one.value)") == ["edge-00003.rack03"]
    field.fill("edge-00003.rack03")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"host={named(0)}&with={named(3)}"))
    expect(dialog).to_contain_text("Not known of both hosts.")
    expect(dialog.locator(".settings")).to_contain_text("This page has no room for the settings of both hosts: not measured.")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("host=|with="))


def test_a_host_that_is_not_there_is_named_as_trouble(show):
    report, _fleet = show(two())
    page = report.open(f"#host={named(0)}&with=gone")
    expect(page.locator("#trouble")).to_contain_text("names a finding or host that is not in this report")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_comparison_is_chinese_and_prints_alone(show):
    report, _fleet = show(two(), language="zh", scheme="dark")
    page = report.open(f"#host={named(0)}&with={named(1)}")
    dialog = page.locator("dialog[open]")
    expect(dialog.locator(".settings")).to_have_attribute("data-filled", "yes")
    for said in ("两台主机并列比较", "仅在 edge-00000.rack00：acme_nic, nvidia", "设置", "未测量"):
        expect(dialog).to_contain_text(said)
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("main").is_visible()
    assert dialog.locator(".same").first.locator("table").is_visible(), "what is the same is printed"
    assert not dialog.locator(".close").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('dialog')).color") == "rgb(26, 29, 33)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not dialog.locator(".same").first.locator("table").is_visible()
