# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters that a kernel hides well."""

from ansible_collections.ksysak.fleet.plugins.module_utils._injector.leftovers import waiting_pages

ZONEINFO = """Node 0, zone    DMA32
  pages free     318612
        count    99
  pagesets
    cpu: 0
              count: 1378
              high:  7097
              batch: 63
    cpu: 1
              count: 22
              high:  7097
Node 0, zone   Normal
  pagesets
    cpu: 0
              count: 0
"""


def test_free_pages_that_wait_on_lists_of_cpus():
    assert waiting_pages(ZONEINFO) == 1400
