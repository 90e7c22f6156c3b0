# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the sources of the latency modules to the host; the module of this name does the rest."""

from __future__ import annotations

from ansible_collections.ksysak.fleet.plugins.plugin_utils.kmods import InjectorAction


class ActionModule(InjectorAction):
    KERNEL_MODULES = {"irqoff": "test_irqoff", "nosched": "test_nosched"}
