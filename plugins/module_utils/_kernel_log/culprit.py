# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function a kernel report blames.

A report's own header or program counter names where the kernel noticed, which is often a helper
(a lock, an allocator, a string function) or the reporting code itself. The blame goes to the first
function that is neither. A CPU that is stuck is different: its innermost frames are where it happened
to be when the CPU was sampled, so the blame goes to the operation that it was asked to do, the outermost
frame below the dispatching code.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.rust_symbols import demangle
from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.patterns import OOPS_KINDS, STALL_KINDS
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.symbol_classes import (
    DISPATCH,
    GENERIC,
    INTERRUPT,
    REPORTING,
    UNWINDING,
    incidental,
)

MAX_TRACE = 32
MAX_CALLERS = 2
# Reports whose registers, if any, are those of user space or of an innocent interrupt.
_NO_PC = frozenset(('hung_task', 'kmemleak', 'atomic_sleep', 'bug_mm', 'oom', 'page_alloc_failure', 'ubsan'))
_ALLOCATIONS = frozenset(('kmemleak', 'page_alloc_failure'))
_LINE_CHARS = 768  # no frame is longer

_SYMBOL = r'[.]?[A-Za-z_][\w.$]{0,511}'
_OFFSET = r'\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}'
_HEX = r'(?:\(?\[[<0-9a-f][^\]]{0,40}\]\)?\s*|\(\[?<?[0-9a-f]{8,16}>?\]?\)\s*|<[A-Z#]{2,6}>\s*|[0-9a-f]{16}\s+)'
_FRAME = re.compile(r'\s*' + _HEX + r'{0,4}(\? )?(' + _SYMBOL + r')' + _OFFSET + r'(?: \[([\w-]{1,64})\b)?')
_INLINE = re.compile(r'\s+(' + _SYMBOL + r') \S+:\d+ \[inline\]')
_ADDRESS = r'(?:\[<[0-9a-fx]+>\] )?'
_ARM = re.compile(r'\s*' + _ADDRESS + r'\(?(' + _SYMBOL + r')\)? from ' + _ADDRESS + r'\(?(' + _SYMBOL + r')(?:' + _OFFSET + r')?\)?')
_ADDRESS_ONLY = re.compile(r'\s*(?:\[<[0-9a-f]{8,16}>\]|<[0-9a-f]{8,16}>) (\? )?(' + _SYMBOL + r')(?: \[[\w-]+\])?\s*$')
_REGISTER = re.compile(r'\s*(?:[ER]?IP|NIP|PC|pc|epc|EPC|Krnl PSW)(?: is at|\s?:|\s?\[).{0,200}?(' + _SYMBOL + r')' + _OFFSET)
_LEAD = re.compile(r'.*(?:Call [Tt]race:|</?[A-Z#]{2,6}>)')
_LOCK_AT = re.compile(r',? at: (?:\[<[0-9a-fx]+>\] )?(' + _SYMBOL + r')(?:' + _OFFSET + r')?')
_IN_SYMBOL = re.compile(r' (?:in|at):? (' + _SYMBOL + r')' + _OFFSET)
_ANY_SYMBOL = re.compile(r'(' + _SYMBOL + r')' + _OFFSET)
_RACE = re.compile(r'(?:data-race|race) in (' + _SYMBOL + r')(?:' + _OFFSET + r')?(?: / (' + _SYMBOL + r'))?')
_BARE_IN = re.compile(r' in (' + _SYMBOL + r')\s*$')

_WAITS_FOR_CPU = re.compile(r'smp_call_function_(?:single|many)\w*')
_SOFTIRQ = re.compile(r'_{0,2}do_softirq|handle_softirqs|_{0,2}irq_exit')
_FILE_OPERATION = re.compile(r'(?:__)?vfs_(?:read|write|iter_read|iter_write)|__kernel_(?:read|write)')
_HELD = re.compile(r'\s*#\d+:')
_LAST_FUNCTION = re.compile(r'\s*last function: (' + _SYMBOL + ')')
_WAITS_FOR_WORK = re.compile(r'_{0,2}(?:flush_work\w*|start_flush_work|cancel_(?:delayed_)?work\w*|drain_workqueue|destroy_workqueue)')
_RCU_THREAD = frozenset(('rcu_gp_kthread', 'rcu_gp_fqs_loop'))
# What goes through objects that all of the kernel put there, or frees them: where it fails, another's object is broken, not its caller's.
_QUEUES = re.compile(r'enqueue_timer|timerqueue_\w+|(?:__)?run_timers|__run_timer_base|qlist_free_all')
_MEMORY_ERRORS = OOPS_KINDS | {'kasan', 'kfence'}
_IRQ_ORDER = re.compile(r'-safe -> |irq lock inversion|IRQ lock inversion')
_STACK_OVERFLOW = re.compile(r'stack guard page|stack overflow|corrupted stack end')
_WAITS = re.compile(r'(?:\w+_)?wait(?:_\w+)?$')
_LOCKS = re.compile(r'(?:\w+_)?i?lock(?:_(?:exclusive|interruptible|killable|nested|pair|read|shared|slow|timeout|write))*$')
_CONSTRUCTS = re.compile(r'(?:\w+_)?alloc(?:_\w+)?$')
_STILL_HELD = re.compile(r'still has locks held|lock held (?:when|at)')
_SYSTEM_CALL = re.compile(r'(?:__(?:x64|ia32|arm64|s390x?|riscv|do|se)_)?(?:compat_)?sys_\w+$|(?:compat_)?(?:SyS|SYSC)_\w+$')
_WAITING_ANCHOR = re.compile(r'_{0,2}synchronize_(?:s?rcu|net|sched)\w*|rtnl_lock\w*')


def is_stack_overflow(header):
    """Does a report's header tell that a stack is full?"""
    return bool(_STACK_OVERFLOW.search(header[:_LINE_CHARS]))


def clean(name):
    """A function's name as all builds of the kernel have it: no .isra.0, .constprop.1, .cold, no hashes of Rust's crates."""
    return demangle(bare(name.lstrip('.')))[:200]


def parse(text):
    """Read one line of a report's body.

    Returns a list of entries: ('frame' | 'pc' | 'lock' | 'held' | 'mark', name or word, reliable), and the module of most frames, or None.
    """
    text = text[:_LINE_CHARS]
    if '+0x' not in text:
        return _marks(text)
    register = _REGISTER.match(text)
    if register:
        return [('pc', clean(register.group(1)), True)]
    entries = []
    if ' from ' in text:
        arm = _ARM.match(text)
        if arm:
            return [('frame', clean(arm.group(1)), True), ('frame', clean(arm.group(2)), True)]
    mark = _marks(text)
    if mark:
        entries += mark
        lead = _LEAD.match(text)
        text = text[lead.end():] if lead else text
    frame = _FRAME.match(text)
    if frame:
        entries.append(('frame', clean(frame.group(2)), not frame.group(1), frame.group(3)))
        return entries
    return entries + _locks(text)


def _locks(text):
    """The function that asks for a lock ('lock') or that took one before ('held')."""
    found = None
    if ' at: ' in text:
        found = _LOCK_AT.search(text)
        if found and _HELD.match(text):
            return [('held', clean(found.group(1)), True)]
    elif 'last function: ' in text:
        found = _LAST_FUNCTION.match(text)
    return [('lock', clean(found.group(1)), True)] if found else []


def _marks(text):
    bare = text.strip()
    if 'race' in bare or 'IRQ>' in bare or 'NMI>' in bare:
        if bare.startswith(('Call Trace:', 'Call trace:', 'Backtrace:', 'backtrace:', 'backtrace (', 'stack backtrace:')):
            return [('mark', 'trace', True)]
        for word in ('</IRQ>', '<IRQ>', '</NMI>', '<NMI>'):
            if word in bare:
                return [('mark', word, True)]
    if bare.startswith(('Allocated by', 'Freed by', 'Uninit was', 'Last potentially', 'allocated by', 'freed by', 'Memory state around',
                        'Local variable', 'The buggy')):
        return [('mark', 'history', True)]
    if bare.startswith('-> #'):
        return [('mark', 'chain', True)]
    if bare.startswith(('NMI backtrace for', 'Sending NMI', 'Task dump for', 'Showing all locks', 'CPU:')):
        return [('mark', 'section', True)]
    if bare.startswith(('RIP:', 'Exception stack', 'exception RIP', 'Code:')):
        return [('mark', 'registers', True)]
    locks = _locks(text)
    if locks:
        return locks
    inline = _INLINE.match(text)
    if inline:
        return [('frame', clean(inline.group(1)), True)]
    alone = _ADDRESS_ONLY.match(text)
    if alone:
        return [('frame', clean(alone.group(2)), not alone.group(1))]
    return []


def _traces(entries):
    """Split the entries into the report's traces: a list of lists, without what led up to other traces."""
    traces = [[]]
    history = False
    for entry in entries:
        if entry[0] == 'mark' and entry[1] in ('history', 'chain'):
            history = True
            traces.append([])
        elif entry[0] == 'mark' and entry[1] in ('trace', 'section'):
            if history and entry[1] == 'section':
                continue
            if any(e[0] == 'frame' for e in traces[-1]) or history:
                traces.append([])
            history = False
            traces[-1].append(entry)
        elif not history:
            traces[-1].append(entry)
    return [trace for trace in traces if any(entry[0] in ('frame', 'pc') for entry in trace)]


def _names(trace):
    """Frames of one trace, innermost first, the unreliable ones only where there is nothing else."""
    frames = [entry for entry in trace if entry[0] == 'frame']
    sure = [entry[1] for entry in frames if entry[2]] or [entry[1] for entry in frames]
    names = []
    for name in sure:
        if not names or names[-1] != name:
            names.append(name)
    return names


def _first_specific(names):
    for name in names:
        if not incidental(name):
            return name
    return None


def _queue(names):
    """Where memory was bad: the queue of others' objects that is to blame, reached through helpers alone; or None."""
    for name in names:
        if _QUEUES.fullmatch(name):
            return name
        if not GENERIC.match(name) or DISPATCH.match(name):
            return None
    return None


def _least_incidental(names):
    """Where all are incidental: the innermost that is no helper, or the innermost; or None."""
    return next((name for name in names if not GENERIC.match(name)), names[0] if names else None)


def _down_to_interrupt(names):
    """The frames of an interrupt without those that it interrupted; all of them where no interrupt did anything."""
    for index, name in enumerate(names):
        if INTERRUPT.match(name) and any(not REPORTING.match(inner) and not UNWINDING.match(inner) for inner in names[:index]):
            return names[:index]
    return names


def _stuck(trace, innermost):
    """The operation that a stuck CPU was asked to do, or the first function on the way to it that may be to blame; or None."""
    start = 0
    for index, entry in enumerate(trace):
        if entry[0] == 'pc' or entry[:2] == ('mark', 'registers'):
            if any(e[0] == 'frame' for e in trace[index + 1:]):
                start = index
                if start:
                    break
    inner = trace[start:]
    for index, entry in enumerate(inner):
        if entry[:2] == ('mark', '</IRQ>') and _first_specific(e[1] for e in inner[:index] if e[0] == 'frame'):
            inner = inner[:index]
            break
    pcs = [entry[1] for entry in inner[:1] if entry[0] == 'pc']
    names = pcs + _names(inner)
    if start == 0:
        # the trace runs through the interrupt that looked: what lies below it was interrupted
        for index, name in enumerate(names):
            if name.endswith('apic_timer_interrupt') and index + 1 < len(names) and not DISPATCH.match(names[index + 1]):
                names = names[index + 1:]
                break
    for index, name in enumerate(names):
        if _SOFTIRQ.match(name) and index:
            names = names[:index]
            break
    for name in names:
        if _WAITS_FOR_CPU.match(name):
            return name
    return (not innermost and _operation(names)) or _first_specific(names) or next(filter(_SYSTEM_CALL.match, reversed(names)), None)


def _asks_for_memory(names):
    """Who had memory allocated: the first that neither helps nor only makes an object for others; or None."""
    own = [name for name in names if not incidental(name)]
    while len(own) > 1 and _CONSTRUCTS.match(own[0]):  # as alloc_inode
        del own[0]
    return own[0] if own else None


def _operation(names):
    """The outermost frame that neither dispatches nor helps, of a file's operation where kernel code calls one."""
    for index, name in enumerate(names):
        if _FILE_OPERATION.fullmatch(name) and any(not incidental(inner) for inner in names[:index]):
            names = names[:index]
            break
    for index in range(len(names) - 1, -1, -1):
        name = names[index]
        if not incidental(name):
            # a wrapper for programs of another word size is the operation that it calls
            return names[index - 1] if index and 'compat_' in name and name.replace('compat_', '', 1) == names[index - 1] else name
    return None


def _waits_for_work(entries):
    """Of a deadlock with a work item: who waits for the work while it holds what the work needs, or None."""
    names, waits = [], False
    for entry in entries:
        if entry[0] == 'mark':
            if waits and _first_specific(names):
                return _first_specific(names)
            names, waits = [], False
        elif entry[0] == 'frame':
            waits = waits or bool(_WAITS_FOR_WORK.match(entry[1]))
            if not _WAITS_FOR_WORK.match(entry[1]):
                names.append(entry[1])
    return None


def _lockdep(header, entries, traces):
    """Of a report about locks: (functions to consider, best first; the trace that shows it)."""
    if not traces:
        shown = []
    elif any(entry[:2] == ('mark', 'chain') for entry in entries) or 'inconsistent' in header:
        shown = _names(traces[-1])
    else:
        # a lone place in the text before is no trace
        shown = _names(next((trace for trace in traces if trace[0][:2] == ('mark', 'trace')), traces[0]))
    locks = [entry[1] for entry in entries if entry[0] == 'lock']
    if _STILL_HELD.search(header):  # who took what is still held
        locks = [entry[1] for entry in entries if entry[0] == 'held'][:1] or locks
    if traces and _IRQ_ORDER.search(header):
        # two places, right on their own: the interrupt's is the one that nobody thought of
        locks = [name for name in _names(traces[0])[:1] + [_first_specific(_names(traces[0]))] if name] + locks
    elif locks and DISPATCH.match(locks[0]):
        waits = _waits_for_work(entries)
        locks = ([waits] if waits else []) + locks
    if not locks:
        return shown, shown
    pcs = [entry[1] for entry in entries if entry[0] == 'pc'][:1]
    return locks + pcs + shown, shown


def header_symbols(kind, text):
    """The functions that a header names, the first one first."""
    if kind == 'kcsan':
        race = _RACE.search(text)
        return [clean(name) for name in race.groups() if name] if race else []
    named = _IN_SYMBOL.search(text) or (_ANY_SYMBOL.search(text) if kind in ('warning', 'lockdep', 'panic') else None) or (
        _BARE_IN.search(text) if kind in ('kasan', 'kfence', 'kmsan') else None)
    return [clean(named.group(1))] if named else []


def called_by(culprit, names):
    """The way to the culprit in its trace: the next two functions outward that are not incidental, within one interrupt."""
    at = names.index(culprit) + 1 if culprit in names else 0
    found = []
    for name in names[at:]:
        if found[MAX_CALLERS - 1:] or INTERRUPT.match(name) and (at or found):
            break
        if name != culprit and not incidental(name):
            found.append(name)
    return found


def blame(kind, header, entries):
    """Name the culprit of a report.

    kind: str; header: its first line; entries: what L(parse) made of the lines after it, in order.
    Returns (culprit or None, trace, callers): the trace is a list of at most 32 names, innermost first; callers: those of L(called_by).
    """
    culprit, names = _blame(kind, header[:_LINE_CHARS], entries)
    return culprit, names[:MAX_TRACE], called_by(culprit, names) if culprit else []


def _blame(kind, header, entries):
    """The culprit or None, and the whole trace that shows it."""
    traces = _traces(entries)
    names = _names(traces[0]) if traces else []
    if kind in STALL_KINDS:
        for trace in traces:
            # interrupts are off for short: near to where the CPU is
            stuck = _stuck(trace, kind == 'hard_lockup')
            if stuck and not set(_names(trace)) & _RCU_THREAD:
                return stuck, _names(trace)
        return None, names
    if kind == 'oom':
        return None, names
    if kind == 'hung_task':
        for name in names:
            if _WAITING_ANCHOR.match(name):
                return name, names
        own = [name for name in names if not incidental(name)]
        modules = {entry[1]: entry[3] for entry in traces[0] if len(entry) > 3} if traces else {}
        # what one module has for others to wait with, and what only takes a lock
        while len(own) > 1 and (_LOCKS.match(own[0]) or (_WAITS.match(own[0]) and modules.get(own[0]) != modules.get(own[1]))):
            del own[0]
        if own:
            return own[0], names
    if is_stack_overflow(header) and _operation(names):
        return _operation(names), names
    named = header_symbols(kind, header)
    if kind == 'lockdep':
        candidates, names = _lockdep(header, entries, traces)
    elif kind in _NO_PC:
        candidates = _down_to_interrupt(names)
    else:
        candidates = [entry[1] for entry in entries if entry[0] == 'pc'][:1] + _down_to_interrupt(names)
    candidates = named + candidates
    # the unwinder is to blame only where it crashed itself, or what it reads memory with
    crashed = next(filter(UNWINDING.match, candidates[:2]), None) if kind in OOPS_KINDS else None
    if crashed:
        return crashed, names
    culprit = _queue(candidates) if kind in _MEMORY_ERRORS else _asks_for_memory(names) if kind in _ALLOCATIONS else None
    culprit = culprit or _first_specific(candidates)
    if culprit is None and kind == 'lockdep':
        culprit = _first_specific(entry[1] for entry in entries if entry[0] == 'held')
    if culprit is None and kind != 'page_alloc_failure':
        if kind == 'kcsan' and named:
            culprit = named[0]
        culprit = culprit or _least_incidental(candidates)
    return culprit, names
