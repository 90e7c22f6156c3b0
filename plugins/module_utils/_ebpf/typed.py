# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF programs whose arguments the kernel knows by type: at tracepoints, and for each task (Documentation/bpf/bpf_iterators.rst).

Such a program may ask the kernel for the call stack of a task that does not run (bpf_get_task_stack, since 5.9), which no
other may. bcc compiles them, and has no function that loads them.
"""

import ctypes
import os
import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf_types
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.program import telling_line

# include/uapi/linux/bpf.h: commands, a type of programs, types of attachment, and where members of union bpf_attr lie.
_PROG_LOAD, _RAW_TRACEPOINT_OPEN, _LINK_CREATE, _ITER_CREATE = 5, 17, 28, 33
_TRACING, _TRACE_RAW_TP, _TRACE_ITER = 26, 23, 28
_ATTR_BYTES, _NAME_AT, _ATTACH_TYPE_AT, _BTF_ID_AT = 128, 48, 68, 108
_LOG_BYTES = 1 << 18
_INSTRUCTION_BYTES = 8

# Text for functions of such programs.
LOADS = """
/* Loads of typed pointers: bcc would make calls of them. */
#define ARGUMENT(value, ctx, index) asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(ctx), "i"((index) * 8))
#define LOAD(value, from, at) asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(from), "i"(at))
#define LOAD32(value, from, at) asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(value) : "r"(from), "i"(at))
"""


class _Loaded:
    """What Program keeps of a function: its file descriptor."""

    def __init__(self, fd):
        self.fd = fd


class Typed:
    """Loads functions of a Program as typed ones. program: Program; types: btf_types.Types."""

    def __init__(self, program, types):
        self._program, self._types = program, types
        self._descriptors = []

    def attach(self, event, name):
        """Run function `name` at each tracepoint `event` ('sched_waking'); returns what detach() takes. Raises Unavailable.

        The function takes `u64 *ctx`: the arguments of the tracepoint, one a word.
        """
        loaded = self._load(name, 'btf_trace_' + event, btf_types.TYPEDEF, _TRACE_RAW_TP)
        return self._keep('attach to ' + event, _RAW_TRACEPOINT_OPEN, 0, 0, loaded)

    def detach(self, descriptor):
        """Undo attach()."""
        self._descriptors.remove(descriptor)
        os.close(descriptor)

    def iterator(self, name):
        """Load function `name` to be run for each task; returns what run() takes. Raises Unavailable.

        The function takes `u64 *ctx`: word 1 is the task, 0 after the last one.
        """
        loaded = self._load(name, 'bpf_iter_task', btf_types.FUNC, _TRACE_ITER)
        return self._keep('iterate over tasks', _LINK_CREATE, loaded, 0, _TRACE_ITER)

    def run(self, iterator):
        """Call the function once for each task, at once. Raises OSError."""
        descriptor = linux.bpf(_ITER_CREATE, iterator)[0]
        try:
            while os.read(descriptor, 4096):
                pass
        finally:
            os.close(descriptor)

    def close(self):
        """Detach all."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def _keep(self, what, command, *words):
        try:
            descriptor = linux.bpf(command, *words)[0]
        except OSError as error:
            raise Unavailable('cannot %s: %s' % (what, error.strerror), 'Please report this message with the kernel release.')
        self._descriptors.append(descriptor)
        return descriptor

    def _load(self, name, type_name, kind, attach_type):
        number = self._types.number(type_name, kind)
        if number is None:
            raise Unavailable('this kernel has no type %s' % type_name, 'Boot a kernel from 5.9 on, with CONFIG_DEBUG_INFO_BTF.')
        code = self._program.bpf.dump_func(name.encode())
        instructions, log = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(_LOG_BYTES)
        license_text = ctypes.create_string_buffer(b'GPL')
        attributes = bytearray(_ATTR_BYTES)
        struct.pack_into('<IIQQIIQ', attributes, 0, _TRACING, len(code) // _INSTRUCTION_BYTES, ctypes.addressof(instructions),
                         ctypes.addressof(license_text), 0, 0, 0)
        attributes[_NAME_AT:_NAME_AT + 15] = name.encode()[:15].ljust(15, b'\0')
        struct.pack_into('<I', attributes, _ATTACH_TYPE_AT, attach_type)
        struct.pack_into('<I', attributes, _BTF_ID_AT, number)
        try:
            descriptor = linux.bpf(_PROG_LOAD, *struct.unpack('<%dI' % (_ATTR_BYTES // 4), attributes))[0]
        except OSError as error:
            struct.pack_into('<IIQ', attributes, 24, 1, _LOG_BYTES, ctypes.addressof(log))  # once more, for the verifier's words
            try:
                os.close(linux.bpf(_PROG_LOAD, *struct.unpack('<%dI' % (_ATTR_BYTES // 4), attributes))[0])
            except OSError:
                pass
            words = telling_line(log.value.decode('utf-8', 'replace'))
            raise Unavailable('cannot load %s: %s%s' % (name, error.strerror, '; ' + words if words else ''),
                              'Please report this message with the kernel release.')
        self._descriptors.append(descriptor)
        self._program.account(_Loaded(descriptor))
        return descriptor
