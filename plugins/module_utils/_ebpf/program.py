# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a BPF program with bcc, attach it to tracepoints, and account for what it missed."""

import os
import re
import resource
import tempfile

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux, procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import headers, requirements, sandbox

_EVENTS = sandbox.TRACEFS + '/events'
_PERF_TYPE_SOFTWARE = 1
_PERF_COUNT_SW_CPU_CLOCK = 0


def prepare():
    """Make this process ready for bcc: checks, mount namespace, header files. Raises Unavailable."""
    requirements.check()
    sandbox.enter()
    headers.write_tree(sandbox.HEADERS)
    os.environ['BCC_KERNEL_SOURCE'] = sandbox.HEADERS
    _raise_memory_limit()


def _raise_memory_limit():
    """Kernels before 5.11 count BPF maps as locked memory. Where the limit may not be raised, take what there is."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    for limit in (resource.RLIM_INFINITY, hard):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            return
        except (ValueError, OSError):
            continue


def tracepoint_fields(event):
    """Return the argument names of a tracepoint ('kmem:kmalloc') as a set; None when the kernel has no such event."""
    text = procfs.read_text('%s/%s/format' % (_EVENTS, event.replace(':', '/')))
    return set(re.findall(r'field:[^;]*?(\w+)(?:\[\w*\])?;', text)) if text else None


def require(event, fields):
    """Raise Unavailable when this kernel's tracepoint is missing, or has lost one of the given arguments."""
    found = tracepoint_fields(event)
    if found is None:
        raise Unavailable('this kernel has no tracepoint %s' % event,
                          'Boot a kernel with CONFIG_TRACEPOINTS and CONFIG_BPF_EVENTS.')
    missing = sorted(set(fields) - found)
    if missing:
        raise Unavailable('tracepoint %s of this kernel has no argument %s' % (event, ', '.join(missing)),
                          'Please report this kernel release to the maintainers of ksysak.fleet.')


def has_kprobes():
    """Can a kprobe be had that ends with this process? The older kind is a line in tracefs, which stays behind."""
    return os.path.isdir('/sys/bus/event_source/devices/kprobe')


# All functions of a program begin and end to count at one moment, however long attaching takes.
_GATE = """
BPF_ARRAY(gate, u32, 1);
static inline int gate_is_open(void) {
  int zero = 0;
  u32 *value = gate.lookup(&zero);
  return value && *value;
}
"""


def telling_line(words):
    """Return the one line of the compiler's or the verifier's words that tells why: the first error, else the last that is no count."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line.partition('error: ')[2] for line in lines if 'error: ' in line]
    last = [line for line in lines if not line.startswith(('processed ', 'verification time', 'stack depth', 'HINT:'))]
    return (errors or last[-1:] or [''])[0][:300]


class Program:
    """One compiled BPF text. After prepare(), in a process of its own.

    text: C for bcc; each of its functions takes `struct tracepoint__<group>__<event> *args` and does
    nothing unless gate_is_open().
    """

    def __init__(self, text):
        text = _GATE + text
        self._bpf_class = requirements.check_bcc()
        self._functions = []
        self._missed = 0
        self.bpf = self._quietly('compile', self._bpf_class, text=text.encode())
        linux.return_free_memory()  # the compiler frees some 16 MiB

    def attach(self, event, name):
        """Run function `name` at each tracepoint `event` ('kmem:kmalloc'). Raises Unavailable, with the verifier's last words."""
        self._load(name, self._bpf_class.TRACEPOINT)
        self._quietly('attach to ' + event, self.bpf.attach_tracepoint, tp=event.encode(), fn_name=name.encode())

    def attach_raw(self, event, name):
        """Run function `name` at each raw tracepoint `event` ('softirq_entry'). Raises Unavailable."""
        self._load(name, self._bpf_class.RAW_TRACEPOINT)
        self._quietly('attach to ' + event, self.bpf.attach_raw_tracepoint, tp=event.encode(), fn_name=name.encode())

    def detach_raw(self, event):
        """Undo attach_raw."""
        self._quietly('detach from ' + event, self.bpf.detach_raw_tracepoint, tp=event.encode())

    def attach_kprobe(self, function, name, at_return=False):
        """Run function `name` when the kernel's function is called, or has returned. Raises Unavailable. See has_kprobes."""
        self._load(name, self._bpf_class.KPROBE)
        attach = self.bpf.attach_kretprobe if at_return else self.bpf.attach_kprobe
        self._quietly('attach to ' + function, attach, event=function.encode(), fn_name=name.encode())

    def call_in_turn(self, table, index, name):
        """Let functions at kprobes call function `name` by its index in a table of functions (BPF_PROG_ARRAY). Raises Unavailable."""
        self._load(name, self._bpf_class.KPROBE)
        turns = self.table(table)
        turns[turns.Key(index)] = turns.Leaf(self.bpf.load_func(name.encode(), self._bpf_class.KPROBE).fd)

    def attach_clock(self, name, period_us):
        """Run function `name` every period_us on each CPU that is online, by perf's software clock. Raises Unavailable.

        The function takes `struct bpf_perf_event_data *ctx`.
        """
        self._load(name, self._bpf_class.PERF_EVENT)
        self._quietly('attach to the software clock of perf', self.bpf.attach_perf_event, ev_type=_PERF_TYPE_SOFTWARE,
                      ev_config=_PERF_COUNT_SW_CPU_CLOCK, fn_name=name.encode(), sample_period=period_us * 1000)

    def ticking_cpus(self):
        """Return the set of CPUs whose clock of attach_clock() still ticks."""
        clocks = self.bpf.open_perf_events.get((_PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_CPU_CLOCK), {})
        # It counts nanoseconds: one that ticks has counted further when it is read again.
        return set(cpu for cpu, clock in clocks.items() if os.read(clock, 8) != os.read(clock, 8))

    def _load(self, name, kind):
        function = self._quietly('load ' + name, self.bpf.load_func, name.encode(), kind)
        if function not in self._functions:  # one may be attached to several events
            self._functions.append(function)

    def account(self, function):
        """Count what a function costs and misses that was loaded elsewhere. function: has its file descriptor as `fd`."""
        self._functions.append(function)

    def open_gate(self):
        """Begin to count."""
        self._missed = -self._read_missed()
        self._opened_by = os.getpid()
        self._set_gate(1)

    def close_gate(self):
        """Stop counting, at once on all CPUs. A copy of the process that opened the gate reads so far, and leaves it open."""
        if self._opened_by == os.getpid():
            self._set_gate(0)
        self._missed += self._read_missed()

    def _set_gate(self, value):
        gate = self.table('gate')
        gate[gate.Key(0)] = gate.Leaf(value)

    def table(self, name):
        """The BPF map of that name."""
        return self.bpf[name.encode()]

    def missed(self):
        """How many events between opening and closing the gate the kernel did not hand to the functions.

        It does so for an ordinary tracepoint when another BPF program is running on that CPU, and for a raw one when
        the same function is. Kernels before 5.12 do not count them: 0.
        """
        return self._missed

    def _read_missed(self):
        return self._sum('recursion_misses')

    def run_time_ns(self):
        """How long the functions have run, while the kernel's statistics of BPF were on (from 5.1; 0 before)."""
        return self._sum('run_time_ns')

    def _sum(self, field):
        total = 0
        for function in self._functions:
            with open('/proc/self/fdinfo/%d' % function.fd) as stream:
                found = re.search(r'^%s:\s*(\d+)' % field, stream.read(), re.M)
            total += int(found.group(1)) if found else 0
        return total

    def map_bytes(self):
        """The kernel memory of all maps, as the kernel accounts it."""
        total = 0
        for name in os.listdir('/proc/self/fdinfo'):
            found = re.search(r'^map_type:.*^memlock:\s*(\d+)', procfs.read_text('/proc/self/fdinfo/' + name), re.M | re.S)
            total += int(found.group(1)) if found else 0
        return total

    def close(self):
        """Detach and free. The end of the process would do the same."""
        self.bpf.cleanup()

    @staticmethod
    def _quietly(what, function, *args, **kwargs):
        """Call bcc with its standard error kept, as it explains a failure there and nowhere else."""
        with tempfile.TemporaryFile(dir=sandbox.DEBUGFS) as words:
            saved = os.dup(2)
            os.dup2(words.fileno(), 2)
            try:
                return function(*args, **kwargs)
            except Exception as error:
                size = words.seek(0, os.SEEK_END)
                words.seek(max(0, size - 65536))
                stderr_text = telling_line(words.read().decode('utf-8', 'replace').strip())
                raise Unavailable('cannot %s: %s%s' % (what, error, '; ' + stderr_text if stderr_text else ''),
                                  'Please report this message with the kernel release and the version of bcc.')
            finally:
                os.dup2(saved, 2)
                os.close(saved)
