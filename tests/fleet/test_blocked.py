# SPDX-License-Identifier: GPL-3.0-or-later
"""blocked on machines with other kernels: the ground truth is that of tests/integration."""

import pytest

from ansible_collections.ksysak.fleet.tests.fleet.conftest import BLOCKED
from ansible_collections.ksysak.fleet.tests.integration.test_blocked import (  # noqa: F401 # pylint: disable=unused-import
    test_a_daemon_that_answers_late_is_the_holder,
    test_a_file_system_that_is_frozen,
    test_a_wait_that_goes_on_since_before_the_window,
    test_sleeps_that_programs_ask_for_are_no_cause,
    test_the_chain_leads_from_the_lock_of_a_directory_to_the_daemon,
)

pytestmark = pytest.mark.usefixtures("root", "machine")


@pytest.fixture(scope="module")
def run(on_machine):
    """Run a case of blocked_on_host.py on the machine and return its JSON."""
    return lambda case: on_machine.run(BLOCKED, case)
