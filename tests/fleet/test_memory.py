# SPDX-License-Identifier: GPL-3.0-or-later
"""memory on machines with other kernels and other versions of cgroups: the ground truth is that of tests/integration."""

import pytest

from ansible_collections.ksysak.fleet.tests.fleet.conftest import MEMORY
from ansible_collections.ksysak.fleet.tests.integration.test_memory_system import (  # noqa: F401 # pylint: disable=unused-import
    system,
    test_a_file_that_is_open_in_a_tmpfs_is_its_programs,
    test_kind_owner_number_and_bytes_are_right,
    test_maps_that_do_not_grow_are_named_with_their_holder,
    test_nothing_is_said_to_be_missing,
    test_removed_cgroups_that_live_on_grow,
    test_the_picture_adds_up,
    test_who_writes_and_who_makes_files_is_named,
)

pytestmark = pytest.mark.usefixtures("root", "machine")


@pytest.fixture(scope="module")
def run(on_machine):
    """Run a case of memory_on_host.py on the machine and return its JSON."""
    return lambda case: on_machine.run(MEMORY, case)
