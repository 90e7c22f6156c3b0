# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel call stacks: from addresses to names, and from names to the function to blame."""

import base64
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import nameset
from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import layers_table

DEPTH = 24

# Made for tracepoints by macros and for programs by the kernel, so that no source defines them.
_TRACING = re.compile(r'^(?:_*traceiter_|trace_event_raw_event_|perf_trace_|perf_call_bpf_|bpf_trace_run|__bpf_trace_|trace_call_bpf'
                      r'|bpf_prog_[0-9a-f]{16})')
_LAYERS, _PAGE_CACHE = [], []
# An interrupt is entered here: frames further out were interrupted and have no part in what it does. Where the kernel shows
# its symbols, BPF cuts stacks already by the sections that hold these (include/asm-generic/sections.h: in_irqentry_text).
_BOUNDARY = re.compile(r'^(?:asm_(?:common_interrupt|sysvec_\w+|spurious_interrupt|exc_nmi)|__do_softirq|handle_softirqs|do_softirq\w*'
                       r'|sysvec_\w+|call_softirq|run_ksoftirqd|_*irq_exit\w*|common_interrupt|apic_timer_interrupt|ret_from_intr|common_spurious)$')

# These call what was queued before: timers, work, callbacks of RCU, tasklets, NAPI, handlers of interrupts. By which way they are come to
# is chance (the CPU's own timer interrupt or another's that is idle, softirq or its thread, a rescuer), and no part of an allocation.
_DISPATCHERS = frozenset(('call_timer_fn', 'expire_timers', '__run_timers', '__run_timer_base', '__hrtimer_run_queues', 'process_one_work',
                          'rcu_do_batch', 'tasklet_action_common', '__napi_poll', '__handle_irq_event_percpu'))

# Functions that call a BPF program, which is the frame before them, and how deep at most they are.
_CALLS_PROGRAM = ('bpf_trace_run', '__bpf_trace_', 'trace_call_bpf', 'perf_call_bpf')
_TRACING_DEPTH = 8
# They jump to wherever a register points: the call of one says nothing of who is called.
_THUNKS = ('__x86_indirect_', '__x86_return_', '__SCT__', 'ftrace_', '__fentry__')


def module_of(frame):
    """Return the module of 'f+0x1c [ext4]': 'ext4'; None for the kernel itself."""
    found = re.search(r'\[([^\]]+)\]$', frame)
    return found.group(1) if found else None


def is_layer(frame):
    """Does the frame's function allocate on behalf of whoever called it?

    The kernel's does that is defined where allocators, containers, or devices are (tools/infrastructure.py). A function of a module
    never does, whatever its name is: it is a driver's or a file system's own. But where its name is that of a function in a header
    of these, as kzalloc, the compiler has put that one there.
    """
    if not _LAYERS:
        _LAYERS.extend(nameset.NameSet(base64.urlsafe_b64decode(names)) for names in (layers_table.NAMES, layers_table.INLINES))
    name = bare(frame)
    if name in _LAYERS[1]:
        return True
    return module_of(frame) is None and (name in _LAYERS[0] or bool(_TRACING.match(name)))


def is_page_cache(frame):
    """Is the frame's function one of the kernel that allocates pages of the page cache, or of block devices' buffers?"""
    if not _PAGE_CACHE:
        _PAGE_CACHE.append(nameset.NameSet(base64.urlsafe_b64decode(layers_table.PAGE_CACHE)))
    return module_of(frame) is None and bare(frame) in _PAGE_CACHE[0]


def is_boundary(frame):
    """Is the frame's function one that enters interrupts?"""
    return module_of(frame) is None and bool(_BOUNDARY.match(bare(frame)))


def is_text(frame):
    """Has the address a name? Without one it is no function of the kernel or of a module."""
    return not frame.startswith('0x')


def culprit(stack):
    """Return (function, module) of the first frame that does not allocate on behalf of others; (None, None) of an empty stack.

    stack: names as given by Symbols.name, innermost first. module: str, or None for the kernel itself.
    Where every frame is of such a layer the outermost one is given.
    """
    named = [frame for frame in stack if is_text(frame)]
    if not named:
        return None, None
    frame = next((frame for frame in named if not is_layer(frame)), named[-1])
    return bare(frame), module_of(frame)


def within_interrupt(frames):
    """Return the frames without what an interrupt interrupted."""
    for index, frame in enumerate(frames):
        if is_boundary(frame):
            return frames[:index + 1]
    return frames


def is_dispatch(frame):
    """Does the frame's function call what was queued before?"""
    return module_of(frame) is None and bare(frame) in _DISPATCHERS


def within_dispatch(frames):
    """Return the frames without the way by which the kernel came to call what had been queued."""
    for index, frame in enumerate(frames):
        if is_dispatch(frame):
            return frames[:index + 1]
    return frames


class Symbols:
    """Names of kernel addresses, by bcc's reader of /proc/kallsyms.

    modules: ModuleSymbols, for names of modules that come and go; None: only those that bcc finds.
    code: kcore.Code; None: functions that end with a jump to another one (tail calls) are missing in stacks.
    """

    def __init__(self, bpf_class, modules=None, code=None):
        self._bpf_class = bpf_class
        self._modules = modules
        self._code = code
        self._names, self._called = {}, {}

    def load(self):
        """Read the symbols now: in a window that takes CPU time from others, and from whoever must keep up with the kernel."""
        self.refresh()
        self._bpf_class.ksym(0)

    def refresh(self):
        """Heed the modules that have come and gone."""
        if self._modules is not None:
            self._modules.refresh()

    def remember(self, addresses):
        """Note the names of addresses within modules while these are loaded."""
        for address in addresses:
            if address not in self._names:
                name = self._modules.name(address)
                if name is not None:
                    self._names[address] = name[:300]
                    self._remember_called(address)

    def _remember_called(self, address):
        """Note the name of the function that the call before this return address names; '' where it names none."""
        if self._code is not None and address not in self._called:
            self._called[address] = ''
            target = self._code.called(address)
            name = self.name(target) if target else ''
            if name.partition(' ')[0].endswith('+0x0') and not name.startswith(_THUNKS):
                self._called[address] = name

    def name(self, address):
        """Return 'function+0x1c [module]' for an address; hexadecimal when the kernel hides its symbols."""
        if self._modules is not None:
            self.remember([address])
        # bcc would give the nearest name, or read all of them anew for each address when they are hidden.
        nameless = self._modules is not None and (self._modules.hidden or self._modules.beyond_kernel(address)
                                                  or self._modules.outside_text(address))
        if nameless and address not in self._names:
            return hex(address)
        if address not in self._names:
            name = self._bpf_class.ksym(address, show_module=True, show_offset=True).decode('utf-8', 'replace')
            if name.endswith(' [kernel]'):
                name = name[:-len(' [kernel]')]
            self._names[address] = hex(address) if name.startswith('[unknown]') else name[:300]
        return self._names[address]

    def stack(self, addresses):
        """Return the names of a stack's addresses, innermost first, without the tracing's own frames."""
        names = self._with_tail_calls([address for address in addresses if address])
        # The program itself has no name where net.core.bpf_jit_kallsyms is off.
        calls = [index for index, name in enumerate(names[:_TRACING_DEPTH]) if name.startswith(_CALLS_PROGRAM)]
        names = names[calls[-1] + 1:] if calls else names
        while names and names[0].startswith(('__traceiter_', 'trace_event_raw_event_', 'perf_trace_', 'bpf_prog_', 'trace_call_bpf',
                                             'perf_call_bpf', '__bpf_trace_', 'bpf_trace_run', 'kprobe_', 'ftrace_', 'kretprobe_',
                                             '__kretprobe_', 'aggr_pre_handler', 'opt_pre_handler', 'optimized_callback',
                                             'arch_rethook_', 'rethook_')):
            names.pop(0)
        return within_interrupt(names)

    def _with_tail_calls(self, addresses):
        """Return the names of a stack, with each function that was called and then jumped to the one that is inward of it.

        Such a function has no return address of its own in the stack; the call that its caller made names it.
        """
        names, inner = [], None
        for address in addresses:
            name = self.name(address)
            self._remember_called(address)
            called = self._called.get(address)
            if called and inner is not None and bare(called) != bare(inner) and not inner.startswith(_CALLS_PROGRAM):
                names.append(called)
            names.append(name)
            inner = name
        return names

    def call_site(self, address):
        """Return the names of a call site of an allocator, as own_stack(): first a function that jumped to the allocator."""
        self._remember_called(address)
        called = self._called.get(address)
        return [called] * bool(called and not is_layer(called)) + self.own_stack([address])

    def own_stack(self, addresses):
        """Return the names of a stack's addresses, as stack(), of functions of the kernel and of modules only."""
        return [name for name in self.stack(addresses) if is_text(name)]


def offset(frame):
    """Return the offset of a frame within its function in bytes: 0x1c of 'f+0x1c [ext4]'; None where it has none."""
    found = re.match(r'[^ ]*\+0x([0-9a-f]+)', frame)
    return int(found.group(1), 16) if found else None
