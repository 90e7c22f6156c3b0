# SPDX-License-Identifier: GPL-3.0-or-later
"""Who had the CPU while a task waited, and over the window: from the maps of `bpf/accounts.py` to rows of the facts."""

from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants

_BLOCKERS = 16
_COMMANDS = 8
_KWORKER = 'kworker'
_COMPLETE = 0.95  # of a wait in timeslices that are kept one by one: then nothing else is needed
_NO_MORE_NS = 1 << constants.UNIT_SHIFT


def policy(prio):
    """Return the scheduling class that a kernel priority belongs to (include/linux/sched/prio.h)."""
    return 'deadline' if prio < 0 else 'realtime' if prio < 100 else 'normal' if prio < 140 else 'idle'


def name_of(words):
    """Return the name in the two 64-bit words that the BPF text compares."""
    raw = b''.join(int(word).to_bytes(8, 'little') for word in words)
    return command_of(raw.split(b'\0', 1)[0].decode('utf-8', 'replace'))


def command_of(comm):
    """Return the command that a task's name belongs to: all kworkers are one, as the BPF text has it."""
    return _KWORKER if comm.startswith(_KWORKER + '/') else comm


class _Sums(dict):
    def more(self, key, value):
        if value > 0:
            self[key] = self.get(key, 0) + value


def _kept(wait, began_ns):
    """Return ({tid: ns within the wait}, {tid: its last timeslice}) of the timeslices that are kept one by one; tid 0: idle."""
    ran_ns, last = _Sums(), {}
    for timeslice in wait.long_slices.slices:
        overlap_ns = min(timeslice.ended_ns, wait.ended_ns) - max(timeslice.ended_ns - timeslice.ran_ns, began_ns)
        if timeslice.ended_ns and overlap_ns > 0:
            ran_ns.more(timeslice.tid, overlap_ns)
            last[timeslice.tid] = timeslice
    return ran_ns, last


def _counted(wait, began_ns):
    """Return ({index of an account, 'idle' or 'paused': ns within the wait}) by the snapshots around the begin of the wait.

    What ran between the begin and the first snapshot after it: first the timeslice that ended there, for the rest all that ran between
    the two snapshots, in proportion.
    """
    runners, found = wait.runners, _Sums()
    after = dict((index, runner.after) for index, runner in enumerate(runners.runners))
    after.update(idle=runners.idle_after, paused=runners.paused_after)
    around = dict((index, runner.around) for index, runner in enumerate(runners.runners))
    around.update(idle=runners.idle_around, paused=runners.paused_around)
    total = sum(after.values()) << constants.UNIT_SHIFT
    head_ns = runners.after_ns - began_ns
    if head_ns < 0:  # no snapshot since the begin: a little more than the wait
        share = min(1.0, float(wait.delay_ns) / max(1, total))
        for key, units in after.items():
            found.more(key, int((units << constants.UNIT_SHIFT) * share))
        return found
    for key, units in after.items():
        found.more(key, units << constants.UNIT_SHIFT)
    ended = 'idle' if runners.ended == constants.IDLE else runners.ended
    ended_ns = min(head_ns, runners.ended_ran << constants.UNIT_SHIFT)
    if around.get(ended, 0) > 0:
        found.more(ended, ended_ns)
        around[ended] = max(0, around[ended] - runners.ended_ran)
        head_ns -= ended_ns
    span = sum(around.values()) << constants.UNIT_SHIFT
    share = min(1.0, float(head_ns) / span) if span else 0.0
    for key, units in around.items():
        found.more(key, int((units << constants.UNIT_SHIFT) * share))
    return found


def who_ran(wait):
    """Return {'longest_runner', 'longest_slice', 'blockers', 'commands', 'idle_us', 'paused_us', 'unattributed_us'} of a reported wait.

    wait: struct wait_t of the BPF text. blockers: tasks, and commands of several tasks (pid None); commands: the same by command;
    longest_slice: the longest part of the wait that one task ran without a switch, None where none is kept.
    """
    began_ns = wait.ended_ns - wait.delay_ns
    kept_ns, last = _kept(wait, began_ns)
    running_ns = min(wait.runners.running_ns, wait.delay_ns)
    if running_ns and wait.runners.running_tid:
        kept_ns.more(wait.runners.running_tid, running_ns)
        last.setdefault(wait.runners.running_tid, None)
    elif running_ns:
        kept_ns.more(0, running_ns)
    counted = _Sums() if sum(kept_ns.values()) >= _COMPLETE * wait.delay_ns else _counted(wait, began_ns)
    paused_ns = counted.pop('paused', 0)
    idle_ns = max(kept_ns.pop(0, 0), counted.pop('idle', 0))
    tasks, commands, single = _tasks(wait, kept_ns, last), _Sums(), {}
    for tid, (comm, _prio, ran_ns) in tasks.items():
        commands.more(command_of(comm), ran_ns)
        single.setdefault(command_of(comm), set()).add(tid)
    rows = dict((tid, [tid, comm, prio, ran_ns]) for tid, (comm, prio, ran_ns) in tasks.items())
    counted_ns, prios = _Sums(), {}
    for index, ran_ns in counted.items():
        runner = wait.runners.runners[index]
        comm = name_of(runner.name)
        counted_ns.more(comm, ran_ns)
        prios.setdefault(comm, runner.prio)
        single.setdefault(comm, set()).update([runner.tid] if not runner.tasks else [runner.tid, None])
    for comm, ran_ns in counted_ns.items():
        more_ns = ran_ns - commands.get(comm, 0)
        if more_ns > _NO_MORE_NS:
            only = next(iter(single[comm])) if len(single[comm]) == 1 else None
            row = rows.setdefault(only or comm, [only, comm, prios[comm], 0])
            row[3] += more_ns
            commands.more(comm, more_ns)
    over_ns = sum(commands.values()) + idle_ns + paused_ns - wait.delay_ns
    if over_ns > 0:  # times of snapshots are rounded, and a pause is within a timeslice
        share = max(0.0, 1.0 - float(over_ns) / max(1, sum(commands.values())))
        commands = _Sums((comm, ran_ns * share) for comm, ran_ns in commands.items())
        for row in rows.values():
            row[3] *= share
        idle_ns = min(idle_ns, wait.delay_ns)
        paused_ns = min(paused_ns, wait.delay_ns - idle_ns)
    unattributed_ns = max(0, wait.delay_ns - sum(commands.values()) - idle_ns - paused_ns)
    blockers = [_row(*row) for row in sorted(rows.values(), key=lambda row: -row[3])[:_BLOCKERS] if row[3] >= 1]
    by_command = []
    for comm in sorted(commands, key=lambda comm: -commands[comm])[:_COMMANDS]:
        only = next(iter(single[comm])) if len(single[comm]) == 1 else None
        prio = next((row[2] for row in rows.values() if command_of(row[1]) == comm), 120)
        row = _row(only, comm, prio, commands[comm])
        by_command.append(dict(row, share=round(commands[comm] / float(wait.delay_ns), 4)))
    known = by_command and by_command[0]['ran_us'] * 1e3 >= max(idle_ns, unattributed_ns, paused_ns)
    return {'longest_runner': by_command[0] if known else None, 'longest_slice': _longest_slice(wait, began_ns, paused_ns),
            'blockers': blockers, 'commands': by_command,
            'idle_us': _us(idle_ns), 'paused_us': _us(paused_ns), 'unattributed_us': _us(unattributed_ns)}


def _longest_slice(wait, began_ns, paused_ns):
    longest_ns, longest = 0, None
    for timeslice in wait.long_slices.slices:
        overlap_ns = min(timeslice.ended_ns, wait.ended_ns) - max(timeslice.ended_ns - timeslice.ran_ns, began_ns) - paused_ns
        if timeslice.tid and timeslice.ended_ns and overlap_ns > longest_ns:
            longest_ns, longest = overlap_ns, timeslice
    return longest and _row(longest.tid, longest.comm.decode('utf-8', 'replace'), longest.prio, longest_ns)


def _tasks(wait, kept_ns, last):
    """Return {tid: (comm, prio, ns)} of the timeslices that are kept one by one."""
    found = {}
    for tid, ran_ns in kept_ns.items():
        if last[tid] is None:
            found[tid] = (name_of(wait.runners.running_name), wait.runners.running_prio, ran_ns)
        else:
            found[tid] = (last[tid].comm.decode('utf-8', 'replace'), last[tid].prio, ran_ns)
    return found


def _row(tid, comm, prio, ran_ns):
    return {'pid': tid, 'comm': comm, 'prio': prio, 'policy': policy(prio), 'ran_us': _us(ran_ns)}


def _us(value_ns):
    return round(value_ns / 1e3, 3)


class Accounts:
    """CPU time and waits of the window by command and control group.

    by_cpu: {number: struct cpu_t}; commands: [(struct command_key_t, struct command_t)]; began_ns, now_ns: of the window (CLOCK_MONOTONIC).
    """

    def __init__(self, by_cpu, commands, began_ns, now_ns):
        self.entries = {}  # (comm, group id) -> sums
        self.idle_ns, self.unaccounted_ns = {}, 0
        for key, command in commands:
            self._add(name_of(key.name), command, command.ran_ns)
        for number, cpu in by_cpu.items():
            if not cpu.switched_ns:
                continue  # it has not switched tasks: what it did is not known
            self.idle_ns[number] = cpu.idle_ns
            self.unaccounted_ns += cpu.unaccounted_ns
            for index, account in enumerate(cpu.accounts):
                if account.used_ns:
                    self._add(name_of(account.name), account, cpu.ran_ns[index] - account.since_ns)
            self._running(number, cpu, max(0, now_ns - max(cpu.switched_ns, began_ns)))
        self.window_ns = max(1, now_ns - began_ns)

    def _running(self, number, cpu, ran_ns):
        """Count the timeslice that goes on."""
        if not cpu.running_tid:
            self.idle_ns[number] += ran_ns
            return
        comm = name_of(cpu.running_name)
        known = next((key for key, entry in self.entries.items() if key[0] == comm and entry['pid'] == cpu.running_tid),
                     next((key for key in self.entries if key[0] == comm), (comm, None)))
        self._entry(known, cpu.running_tid, cpu.running_prio)['ran_ns'] += ran_ns

    def _entry(self, key, tid, prio):
        return self.entries.setdefault(key, {'ran_ns': 0, 'wait_ns': 0, 'idle_wait_ns': 0, 'longest_ns': 0, 'paused_ns': 0, 'waits': 0,
                                             'pid': tid, 'prio': prio, 'several': False})

    def _add(self, comm, account, ran_ns):
        entry = self._entry((comm, account.group_id), account.tid, account.prio)
        entry['several'] = entry['several'] or account.tasks > 0 or entry['pid'] != account.tid
        entry['ran_ns'] += ran_ns
        entry['longest_ns'] = max(entry['longest_ns'], account.longest_ns)
        for name in ('wait_ns', 'idle_wait_ns', 'paused_ns', 'waits'):
            entry[name] += getattr(account, name)

    def idle_share(self, cpus=None):
        """Return the share of the window in which these CPUs (None: all that are known) were idle; None when none is known."""
        known = [ns for number, ns in self.idle_ns.items() if cpus is None or number in cpus]
        return round(min(1.0, sum(known) / float(self.window_ns * len(known))), 4) if known else None

    def ran_total_ns(self):
        """Return {command: nanoseconds} of all groups together."""
        found = _Sums()
        for (comm, _group), entry in self.entries.items():
            found.more(comm, entry['ran_ns'])
        return found

    def commands(self, top):
        """Return the rows of 'commands', most CPU time first."""
        sums = {}
        for (comm, _group), entry in self.entries.items():
            row = sums.setdefault(comm, dict.fromkeys(('ran_ns', 'wait_ns', 'waits'), 0))
            for name in ('ran_ns', 'wait_ns', 'waits'):
                row[name] += entry[name]
            row['pid'] = entry['pid'] if 'pid' not in row and not entry['several'] else None
            row['prio'] = entry['prio']
        everything_ns = float(self.window_ns * max(1, len(self.idle_ns)))
        listed = sorted(sums.items(), key=lambda item: -item[1]['ran_ns'])[:top]
        return [{'comm': comm, 'pid': row['pid'], 'policy': policy(row['prio']), 'ran_us': _us(row['ran_ns']),
                 'share': round(row['ran_ns'] / everything_ns, 4), 'waits': row['waits'], 'wait_us': _us(row['wait_ns'])}
                for comm, row in listed if row['ran_ns']]

    def groups(self):
        """Return {group id: sums} of all commands of a control group; also {group id: thread ids}."""
        sums, tids = {}, {}
        for (_comm, group), entry in self.entries.items():
            row = sums.setdefault(group or 0, dict.fromkeys(('ran_ns', 'wait_ns', 'idle_wait_ns', 'longest_ns', 'paused_ns', 'waits'), 0))
            for name in ('ran_ns', 'wait_ns', 'idle_wait_ns', 'paused_ns', 'waits'):
                row[name] += entry[name]
            row['longest_ns'] = max(row['longest_ns'], entry['longest_ns'])
            tids.setdefault(group or 0, set()).add(entry['pid'])
        return sums, tids
