# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason not to inject, from the texts that a kernel shows."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import refusals

MEMINFO = "MemTotal:        8000000 kB\nMemAvailable:    1000000 kB\n"
ALL_CAPABILITIES = "Name:\tpython3\nCapEff:\t000001ffffffffff\n"
KO = b"\x7fELF\2\1\1\0.modinfo\0license=GPL v2\0name=test_slab_leak\0vermagic=6.1.0-28-amd64 SMP preempt mod_unload modversions \0"


@pytest.mark.parametrize(
    ("check", "arguments", "said"),
    [
        (refusals.check_confirmed, (False,), "confirm is not true"),
        (refusals.check_root, (1000,), r"not root \(effective user id 1000\)"),
        (refusals.check_arch, ("aarch64",), "for x86_64, this is aarch64"),
        (refusals.check_lockdown, ("none [integrity] confidentiality",), "lockdown is in integrity mode"),
        (refusals.check_lockdown, ("none integrity [confidentiality]",), "lockdown is in confidentiality mode"),
        (refusals.check_signing, ("Y\n",), "signed modules only"),
        (refusals.check_modules_allowed, ("", ALL_CAPABILITIES), "without loadable modules"),
        (refusals.check_modules_allowed, ("1\n", ALL_CAPABILITIES), "modules_disabled is 1"),
        (refusals.check_modules_allowed, ("0\n", "CapEff:\t00000000a80425fb\n"), "CAP_SYS_MODULE is missing"),
        (refusals.check_memory, (102400001, 10, MEMINFO), r"10 % \(max_memory_percent\) .* are 102400000 bytes"),
        (refusals.check_memory, (1, 10, ""), "does not tell MemAvailable"),
        (refusals.check_headers, ("6.1.0-28-amd64", "ID=debian\n", False), "install linux-headers-6.1.0-28-amd64, or"),
        (refusals.check_prebuilt, (b"\xfd7zXZ", "test_slab_leak", "6.1.0-28-amd64"), "no kernel module"),
        (refusals.check_prebuilt, (KO, "test_page_leak", "6.1.0-28-amd64"), "is the kernel module 'test_slab_leak'"),
        (refusals.check_prebuilt, (KO, "test_slab_leak", "6.1.0-29-amd64"), "built for kernel 6.1.0-28-amd64, this host runs 6.1.0-29"),
    ],
)
def test_what_is_refused_says_why(check, arguments, said):
    with pytest.raises(refusals.Refused, match=said):
        check(*arguments)


@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        (refusals.check_confirmed, (True,)),
        (refusals.check_root, (0,)),
        (refusals.check_arch, ("x86_64",)),
        (refusals.check_lockdown, ("",)),
        (refusals.check_lockdown, ("[none] integrity confidentiality",)),
        (refusals.check_signing, ("",)),
        (refusals.check_signing, ("N\n",)),
        (refusals.check_modules_allowed, ("0\n", ALL_CAPABILITIES)),
        (refusals.check_memory, (102400000, 10, MEMINFO)),
        (refusals.check_memory, (102400001, 10, MEMINFO, 10)),
        (refusals.check_headers, ("6.1.0-28-amd64", "", True)),
        (refusals.check_prebuilt, (KO, "test_slab_leak", "6.1.0-28-amd64")),
    ],
)
def test_what_is_fine_is_not_refused(check, arguments):
    assert check(*arguments) is None


@pytest.mark.parametrize(
    ("os_release", "package"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', "linux-headers-5.15.0"),
        ('NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n', "kernel-devel-5.15.0"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "kernel-default-devel of release 5.15.0"),
        ("ID=other\n", "the headers of kernel 5.15.0"),
        ("", "the headers of kernel 5.15.0"),
    ],
)
def test_the_package_with_the_headers(os_release, package):
    assert refusals.headers_package("5.15.0", os_release) == package
