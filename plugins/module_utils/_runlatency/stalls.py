# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs that the kernel kept from interrupts, or from switching tasks: options of the BPF text, and what its maps mean.

`bpf/ticks.py` has the BPF text and says how such a CPU is found.
"""

import collections
import heapq
import math
import os
import platform
import struct
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.headers import version_code
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import interrupted, kernel_time
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants

KINDS = constants.names(constants.Stall)
_LEAST_PERIOD_US = 100
_AT_ONCE_S = 0.001
_LISTED = 1000
_NEED_RESCHED_EVENT = 'sched_set_need_resched_tp'
_WAKES, _WAKE_S = 50, 0.001
_HYPERVISORS_OWN = ('xen_', 'pvm_', 'hypercall_page')  # on their kernels a call switches interrupts on
_BY_CHANCE = 0.01  # a probability from which a pause explains as well what interrupts that are off do
_LAZY_BIT_MOVED = (6 << 16) + (18 << 8)  # x86 went over to the generic bits of thread_info


def period_us(options):
    """Return the width of an interval that holds a stall's length, in microseconds: a fifth of the smallest threshold."""
    return max(_LEAST_PERIOD_US, min(options[name] for name in ('irqoff_us', 'nosched_us', 'syscall_us') if options[name]) // 5)


def tick_us(options):
    """Return the microseconds between two ticks: less than period_us, as a tick itself may come a little later than it should."""
    return period_us(options) * 5 // 6


def watched(options):
    """Return the kinds that are measured, in the order of the map's rows."""
    return KINDS if options['syscall_us'] else KINDS[:-1]


def resched_mask(release):
    """Return TIF_NEED_RESCHED of x86 as a mask. The bit for lazy rescheduling, where there is one, is another: waiting for it is normal.

    Source: arch/x86/include/asm/thread_info.h; from 6.18 on include/asm-generic/thread_info_tif.h.
    """
    return 1 << (4 if version_code(release) >= _LAZY_BIT_MOVED else 3)


def learn_resched_mask(program, knows_pid):
    """Return the mask of the bit that the running kernel sets; the one of its version where it has no tracepoint for that.

    knows_pid: the text has where a task keeps its number. Kernels that moved the bit have the tracepoint (it came with 6.17). To see it,
    this process wakes idle CPUs by its own timers.
    """
    table = program.table('need_resched')
    mask = resched_mask(platform.release())
    if knows_pid:
        try:
            program.attach_raw(_NEED_RESCHED_EVENT, 'on_need_resched')
        except Unavailable:
            pass  # a kernel without it
        else:
            for _unused in range(_WAKES):
                time.sleep(_WAKE_S)
                if table[constants.NeedResched.SEEN].value:
                    mask = table[constants.NeedResched.SEEN].value
                    break
            program.detach_raw(_NEED_RESCHED_EVENT)
    table[table.Key(constants.NeedResched.MASK)] = table.Leaf(mask)
    return mask


class Found:
    """The stalls of one window: collect() them while it is open, as each CPU keeps the last STALLS_KEPT of each kind and class.

    program: Program with the text of `bpf/text.py`; kinds: as given by watched(); symbols: Symbols; opened_ns: CLOCK_MONOTONIC at the begin
    of the window.
    """

    def __init__(self, program, kinds, symbols, opened_ns):
        self._program, self._kinds, self._symbols, self._opened_ns = program, kinds, symbols, opened_ns
        self._taken = {}
        self._events = dict((kind, []) for kind in kinds)
        self.counts = dict((kind, 0) for kind in kinds)
        self.overwritten = 0
        self._hypervisors_own = False  # whether the code decided otherwise than the kernel

    def collect(self, least_new=1):
        """Take over what is new, once some CPU has `least_new` of a kind and class."""
        table, counted = self._program.table('stalls'), self._program.table('stall_counts')
        for row in range(len(self._kinds) * constants.STALL_CLASSES):
            kind = self._kinds[row // constants.STALL_CLASSES]
            counts = list(counted[row])
            before = self._taken.get(row, [0] * len(counts))
            if max(count - taken for count, taken in zip(counts, before)) < least_new:
                continue
            self._symbols.refresh()
            self._taken[row] = counts
            wanted, displaced = {}, 0
            for cpu, (count, taken) in enumerate(zip(counts, before)):
                displaced += max(0, count - taken - constants.STALLS_KEPT)
                for serial in range(max(taken, count - constants.STALLS_KEPT), count):
                    wanted.setdefault(serial % constants.STALLS_KEPT, []).append(cpu)
            for place, cpus in wanted.items():
                stalls = table[row * constants.STALLS_KEPT + place]
                for cpu in cpus:
                    event = _event(kind, stalls[cpu], self._symbols, self._opened_ns)
                    if event is not None:
                        self._hypervisors_own = self._hypervisors_own or (kind, event['kind']) == ('cpu_not_running', 'irqoff')
                        self._add(event)
            self._displaced(kind, displaced)

    def _displaced(self, kind, number):
        """Count those that were displaced. The kernel's cpu_not_running is certain, except in a hypervisor's own functions."""
        if kind == 'cpu_not_running' and not self._hypervisors_own:
            self.counts[kind] += number
        else:
            self.overwritten += number

    def _add(self, event):
        self.counts[event['kind']] += 1
        rows = self._events[event['kind']]
        row = (event['delay_us'], sum(self.counts.values()), event)
        if len(rows) < _LISTED:
            heapq.heappush(rows, row)
        else:
            heapq.heappushpop(rows, row)

    def _in_time(self):
        """Return (ticks of the window that were not late, {place: how many of them came where interrupts had perhaps just come back})."""
        places = dict((place.value, ticks.value) for place, ticks in self._program.table('tick_places').items())
        return sum(state.in_time for state in self._program.table('tick_states')[0]), places

    def longest(self, top, virtual, stolen_us):
        """Return the events as in the schema: at most `top` of each kind, longest first, those of a CPU that did not run last; those that
        contradict others say so.

        A host that its neighbours keep from the CPU has hundreds of these: they displace no stall that has a culprit.
        virtual: whether a hypervisor can take CPUs from this machine; stolen_us: {CPU: what it took within the window}.
        """
        events = [row[2] for rows in self._events.values() for row in rows]
        doubt(events, virtual, stolen_us, self._in_time())
        times = collections.Counter((event['kind'], event['culprit']) for event in events)
        for event in events:
            event['times'] = times[event['kind'], event['culprit']]
            del event['place']
        events.sort(key=lambda event: (event['kind'] == 'cpu_not_running', -event['delay_us']))
        listed, left = [], dict.fromkeys(self._kinds, top)
        for event in events:
            if left[event['kind']]:
                left[event['kind']] -= 1
                listed.append(event)
        return listed


def share_off(events, in_time):
    """Return in what share of the busy time interrupts are off before the places of these events, by the rule of succession.

    events: with the 'place' where each ended; in_time: (ticks that were not late, {place: how many of them came there}).
    """
    ticks, places = in_time
    own = set(event['place'] for event in events)
    return (sum(places.get(place, 0) for place in own) + 1.0) / (ticks + 1.0)


def by_chance(times, number, share):
    """Return the probability that at least `times` of `number` pauses, at instants that no program chooses, meet this share of the time.

    The upper tail of a binomial distribution. share: above 0.
    """
    if share >= 1.0 or not times:
        return 1.0
    ways = math.lgamma(number + 1)
    return sum(math.exp(ways - math.lgamma(met + 1) - math.lgamma(number - met + 1) + met * math.log(share)
                        + (number - met) * math.log1p(-share)) for met in range(times, number + 1))


def doubt(events, virtual, stolen_us, in_time):
    """Add the reasons to doubt a stall, and whether there are none as 'certain'; changes events in place.

    virtual: whether a hypervisor can take CPUs; stolen_us: {CPU: what it took within the window}; in_time: as in share_off().
    """
    irqoff = [event for event in events if event['kind'] == 'irqoff']
    paused_us = max([event['delay_us'] for event in events if event['kind'] == 'cpu_not_running'] or [0])
    for name in set(event['culprit'] for event in irqoff) if virtual else ():
        own = [event for event in irqoff if event['culprit'] == name]
        share = share_off(own, in_time)
        if by_chance(len(own), len(irqoff), share) >= _BY_CHANCE:
            for event in own:
                event['reasons'].append('a pause of this machine would look so: interrupts are off there for %.2g %% of its busy time'
                                        % (100 * share))
    for event in irqoff:
        if virtual and paused_us > event['least_us'] / 2:
            event['reasons'].append('CPUs of this virtual machine did not run for up to %d us within the window' % paused_us)
        if virtual and stolen_us.get(event['cpu'], 0) > event['least_us'] / 2:
            event['reasons'].append('the hypervisor took %d us from this CPU within the window' % stolen_us[event['cpu']])
        for other in irqoff:
            if other['cpu'] != event['cpu'] and abs(other['at_s'] - event['at_s']) < _AT_ONCE_S and other['delay_us'] > event['least_us']:
                event['reasons'].append('CPU %d had interrupts off until the same instant: one of the two may have waited for the other'
                                        % other['cpu'])
                break
    for event in events:
        if event['kind'] != 'cpu_not_running' and _is_ours(event['pid']):
            event['reasons'].append('the task is a probe of this measurement')
        event['certain'] = not event['reasons']


def _is_ours(pid):
    """Does the task belong to the process group of this measurement?"""
    try:
        return pid > 0 and os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def _of_late_tick(code, kind, frames):
    """Return (kind, reason to doubt it or '') of a late tick: did interrupts that were off keep it?

    code: the bytes before the interrupted place, zeros in user mode or when they could not be read; kind: as the kernel saw it.
    """
    if not any(bytearray(code)):
        return kind, ('the code at the interrupted place could not be read' if kind == 'irqoff' else
                      'in user mode: the hypervisor, the firmware or the handler of an interrupt had the CPU')
    if interrupted.switched_on(code) or (frames and bare(frames[0]).startswith(_HYPERVISORS_OWN)):
        return 'irqoff', ''
    return 'cpu_not_running', 'interrupts were on: the hypervisor, the firmware or the handler of an interrupt had the CPU'


def _event(kind, stall, symbols, opened_ns):
    """Return a stall as an event; None for the work of an interrupt that was taken for a page fault."""
    frames = symbols.stack(stall.frames.ip)
    reason = ''
    if kind == 'syscall' and stall.code[0] == constants.PAGE_FAULT and not kernel_time.may_be_fault(frames):
        if not stall.frames.ip[-1]:
            return None
        reason = 'its stack is too deep to show that it is a page fault, and not the work of an interrupt'
    if kind in ('irqoff', 'cpu_not_running'):
        kind, reason = _of_late_tick(struct.pack('<2Q', *stall.code), kind, frames)
        frames = [] if kind == 'cpu_not_running' else frames
    elif not reason and stall.ticked_ns < stall.least_ns / 2:
        reason = 'the CPU did not run for a part of it: the clock ticked for %d us only' % (stall.ticked_ns // 1000)
    elif kind == 'syscall' and not frames:
        reason = 'no stack of it could be taken'
    event = {'kind': kind, 'delay_us': round(stall.most_ns / 1e3, 3), 'least_us': round(stall.least_ns / 1e3, 3), 'cpu': stall.cpu,
             'pid': stall.tid, 'comm': stall.comm.decode('utf-8', 'replace'), 'at_s': round((stall.ended_ns - opened_ns) / 1e9, 6),
             'culprit': culprit(frames), 'stack': frames, 'place': stall.frames.ip[0], 'reasons': [reason] if reason else []}
    if kind == 'syscall':
        event['syscall_nr'] = None if stall.code[0] == constants.PAGE_FAULT else stall.code[0]
    return event


def culprit(stack):
    """Return the culprit of a stall: the innermost one that is not a lock's or an interrupt's own; None without a stack.

    stack: names as given by Symbols.stack, innermost first.
    """
    for frame in stack:
        name = bare(frame)
        if not name.startswith(_MACHINERY):
            return name
    return bare(stack[0]) if stack else None


_MACHINERY = ('_raw_spin_', '_raw_read_', '_raw_write_', '__raw_spin_', 'native_', 'pv_native_', 'pvm_', 'xen_', 'asm_', 'sysvec_',
              'queued_spin_', '__pv_queued_spin_', 'preempt_', 'ktime_get', 'read_tsc', 'kvm_clock', 'pvclock_', 'delay_', '__delay',
              '__const_udelay', '__udelay', 'irqentry_', 'irq_exit', '__irq_exit', '__do_softirq', 'handle_softirqs', 'bpf_')
