# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of Rust functions are read as their source has them, and no name is refused."""

import pytest
from hypothesis import given, strategies as st

from ansible_collections.ksysak.fleet.plugins.module_utils._core.rust_symbols import demangle


@pytest.mark.parametrize(("mangled", "name"), [
    ("_RNvC6_123foo3bar", "123foo::bar"),
    ("_RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt", "core::panicking::panic_fmt"),
    ("_RNvNtCsAbCdEfGhIjK_4core9panicking9panic_fmt", "core::panicking::panic_fmt"),  # another build's hash
    ("_RNvXs1_CscPPBqWtAqum_6driverNtB5_4RingNtNtCs43vyB533jt3_6kernel10miscdevice10MiscDevice4mmap",
     "<driver::Ring as kernel::miscdevice::MiscDevice>::mmap"),
    ("_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_", "mycrate::main::{closure#0}"),
    ("_RNSC3ksy4drop", "ksy::{shim:drop#0}"),
    ("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"),
    ("_RINvC3ksy1fRhQShPhOhTjEThhEAhj4_E", "ksy::f::<&u8, &mut [u8], *const u8, *mut u8, (usize,), (u8, u8), [u8; 4]>"),
    ("_RINvC3ksy1fFUKChEuFhElDNtB2_4PollEL_E", 'ksy::f::<unsafe extern "C" fn(u8), fn(u8) -> i32, dyn ksy::Poll>'),
    ("_RINvC3ksy1fKb1_Kln7_KpE", "ksy::f::<true, -7, _>"),
    ("_RNvYNtC3ksy4RingNtB4_4Poll4poll", "<ksy::Ring as ksy::Poll>::poll"),
    ("_RNvMNtC3ksy4ringINtB2_4RinghE3new", "<ksy::ring::Ring<u8>>::new"),
    ("_RIC3ksyDINtB0_2FnTEEp6OutputuEL_E", "ksy::<dyn ksy::Fn<(), Output = ()>>"),
])  # fmt: skip
def test_a_name_is_read(mangled, name):
    assert demangle(mangled) == name


@pytest.mark.parametrize("name", ["ksy_read", "_Rx", "_RNvC3ks", "_RNvCs_", "_RB_", "_R" + "NvC" * 400, "_RI" + "RB2_" * 200, ""])
def test_what_is_no_such_name_stays_as_it_is(name):
    assert demangle(name) == name


@given(st.text(alphabet="CNIMXYBRQPOFDTASEKLpsu_0123456789abhjvt", max_size=200))
def test_no_name_raises(text):
    assert isinstance(demangle("_R" + text), str)


def base_62(number):
    """A place above 0 as a mangled name has it: one less, in digits of base 62, and an underscore."""
    text, left = "", number - 1
    while True:
        left, digit = divmod(left, 62)
        text = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + text
        if not left:
            return text + "_"


@pytest.mark.parametrize(("levels", "read"), [(3, True), (30, False)])
def test_a_name_that_repeats_itself_is_bounded(levels, read):
    """Each tuple names the last one twice: without a limit 30 of them are 2 ** 30 parts."""
    text, last = "INvC3ksy1f", None
    for _unused in range(levels):
        part, last = "h" if last is None else "B" + base_62(last), len(text)
        text += "T" + part * 2 + "E"
    name = demangle("_R" + text + "E")
    assert (name.count("u8") == 2 * (2**levels - 1)) if read else (name == "_R" + text + "E")
