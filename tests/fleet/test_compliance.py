# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook for schedules over SSH: what tests/integration asks of it on this machine."""

import pytest

from ansible_collections.ksysak.fleet.tests.integration.test_compliance import (  # noqa: F401 # pylint: disable=unused-import
    comply,
    refused,
    test_a_waiver_that_holds_lets_it_pass_and_is_told,
    test_an_override_needs_no_new_scan,
    test_what_nobody_answers_for_any_more_fails_the_playbook,
)

pytestmark = pytest.mark.usefixtures("root", "machine")
