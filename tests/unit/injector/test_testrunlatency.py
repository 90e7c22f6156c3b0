# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a waiter must have waited, from when the others ran."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._injector.testrunlatency import overlap_ns


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], 0),
        ([(0, 100)], 50),
        ([(20, 30), (40, 50)], 20),
        ([(40, 50), (20, 30)], 20),
        ([(20, 40), (30, 50)], 30),
        ([(20, 50), (30, 40)], 30),
        ([(0, 5), (70, 90)], 0),
    ],
)
def test_overlap(runs, expected):
    assert overlap_ns(runs, 10, 60) == expected
