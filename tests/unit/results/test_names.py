# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given, strategies as st

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.names import host_file_name

HOSTILE = ["../../etc/x", "a/b", "a\0b", "..", ".", "", "-rf", ".hidden", "x" * 5000, "x" * 5001]
HOSTILE += ["Web1", "WEB1", "hôte", "h\u0302ote", "a b", "a\nb", "a~b"]


@pytest.mark.parametrize("host", ["web1", "web1.example.org", "10.0.0.7", "db_3-a"])
def test_ordinary_names_are_kept(host):
    assert host_file_name(host) == host + ".json"


@pytest.mark.parametrize("host", HOSTILE)
def test_any_name_is_harmless(host):
    name = host_file_name(host)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-~")
    assert not name.startswith((".", "-"))
    assert len(name) < 128


def test_a_strange_name_stays_recognizable():
    assert host_file_name("Web1.Example.org").startswith("web1.example.org~")


@given(st.lists(st.sampled_from(HOSTILE) | st.text() | st.from_regex(r"[a-zA-Z0-9.~_-]{1,5}", fullmatch=True), unique=True))
def test_two_hosts_never_share_a_file(hosts):
    assert len({host_file_name(host).lower() for host in hosts}) == len(hosts)
