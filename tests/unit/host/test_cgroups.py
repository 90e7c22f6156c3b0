# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroups of a process on hosts with v1, v2 and both."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups

V1 = "9:memory:/mem\n4:cpu,cpuacct:/system.slice/shop.service\n1:name=systemd:/system.slice/shop.service\n"
HYBRID = V1 + "0::/init.scope\n"
V2 = "0::/system.slice/shop.service\n"


@pytest.mark.parametrize(
    ("text", "root", "path"),
    [
        (V2, "/sys/fs/cgroup", "/system.slice/shop.service"),
        (V1, "/sys/fs/cgroup/cpu", "/system.slice/shop.service"),
        # Both: the hierarchy that counts decides, whatever the process has in the other one.
        (HYBRID, "/sys/fs/cgroup/unified", "/init.scope"),
        (HYBRID, "/sys/fs/cgroup/cpu,cpuacct", "/system.slice/shop.service"),
        ("0::/\n" + V1, "/sys/fs/cgroup/unified", "/"),
        (V1, "/sys/fs/cgroup/unified", None),
        ("", "/sys/fs/cgroup", None),
        (V2, None, None),
    ],
)
def test_the_path_in_the_hierarchy_by_which_cpu_time_counts(text, root, path):
    assert cgroups.of_cpu(text, root) == path


@pytest.mark.parametrize(("text", "path"), [(V2, "/system.slice/shop.service"), (V1, "/mem"), (HYBRID, "/init.scope"), ("", None)])
def test_the_path_that_a_process_is_shown_with(text, path):
    assert cgroups.parse(text) == path
