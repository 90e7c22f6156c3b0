# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of the probe: one line each."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory.processes import Descriptors

SOURCES = (Descriptors,)
