# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the kernel's reports (oopses, warnings, lock-ups, ...) in log lines.

Pure: no I/O. One pass, memory bounded by a handful of open reports, time linear in the input.
"""

import re
from collections import deque

from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import culprit, lines as log_lines, patterns
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.details import Details

MAX_BODY_LINES = 400
MAX_STACK_LINES = 1500  # of a stack that is full: the operation is its last frame
MAX_OOM_LINES = 8000  # it lists every task of the host, and names the victim last
REACH_LINES = 2 * MAX_BODY_LINES  # behind its header, whoever else writes in between
MAX_ENTRIES = 300
MAX_OPEN = 16
MAX_GAP_S = 10.0
EXCERPT_CHARS = 4096
TITLE_CHARS = 512
HOST_CHARS = 255
EXAMPLE_CHARS = 160
FLAPS = 3          # so many times within FLAP_S the link of a device went down: it flaps
FLAP_S = 600.0
MAX_DEVICES = 64
MAX_REPEATED = 64
DETAIL_CHARS = 1024
_REASON_CHARS = 10  # no shorter reason of a panic is worth comparing
FOLLOW_S = 30.0
FOLLOW_LINES = 1500

_NUMBER = re.compile(r'\b[0-9a-f]{8,16}\b|0x[0-9a-f]+|\d+')
_WORDS = re.compile(r'[^A-Za-z]+')
_VICTIM = re.compile(r'Kill(?:ed)? process \d+ \((.{1,64}?)\)')
_FILE = re.compile(r' at \S*?((?:[\w.-]{1,64}/)?[\w.-]{1,64}\.[chS]):\d')
_BY_MESSAGE = frozenset(('panic', 'bug_other', 'info_other', 'other_kernel'))
_BY_PROGRAM = frozenset(('segfault', 'oom'))
_BY_DETAIL = {'netdev_watchdog': 'driver', 'oom': 'victim', 'gpu_error': 'xid'}  # the same on all hosts, and told by the report's own field
_ASIDE = ('isabled at:', 'nabled at:')
_END = re.compile(r'---\[ end ')
_LOCKDEP_FILE = re.compile(r'WARNING: .{0,200}\bkernel/locking/lockdep\.c:')
_CHOSEN = 'ut of memory: Kill process'  # of the rule for kernels before 5.0, which name the victim on the next line
_FOLLOW_PANIC = re.compile(r'.*(?:Fatal exception|panic_on_warn|hung_task: blocked|softlockup: hung|RCU Stall|Aiee, killing|'
                           r'exitcode=0x0000000[b9]|kernel: panic_on|Fatal machine check|Oops|UBSAN: |Hard LOCKUP|corrupted stack end)')
_AFTERMATH = frozenset(('atomic_sleep', 'lockdep', 'rcu_stall', 'soft_lockup', 'hard_lockup', 'warning', 'bug_other', 'bug_mm'))


class _Report:
    """A report that is being read."""

    def __init__(self, rule, text, number, segment):
        self.kind = rule.kind
        if self.kind == 'warning' and _LOCKDEP_FILE.match(text):
            self.kind = 'lockdep'
        self.needle = rule.needle
        self.once = rule.once
        self.header = text
        self.number = number
        self.segment = segment
        self.induced = False
        self.parent = None  # the report this one follows from, where that one's trace is still to come
        self.details = Details(self.kind, text[:DETAIL_CHARS], segment.caller)
        self.most_lines = MAX_OOM_LINES if self.kind == 'oom' else MAX_STACK_LINES if culprit.is_stack_overflow(text) else MAX_BODY_LINES
        self.entries = []
        self.frames = 0
        self.aside = False  # the next line names a function that has no part in it
        self.excerpt = [text]
        self.excerpt_chars = len(text)
        self.body = 0
        self.last_s = segment.timestamp_s
        self.last_clock_s = log_lines.clock_s(segment)
        self.ended = rule.once

    def add(self, segment):
        if self.parent is not None:
            self.parent.add(segment)
        text = segment.text
        self.body += 1
        if segment.timestamp_s is not None:
            self.last_s = segment.timestamp_s
        self.last_clock_s = log_lines.clock_s(segment)
        if self.excerpt_chars < EXCERPT_CHARS:
            self.excerpt.append(text)
            self.excerpt_chars += len(text) + 1
        self.details.line(text[:DETAIL_CHARS])
        if self.needle == _CHOSEN and text.startswith('Killed process '):
            self.ended = True
        aside, self.aside = self.aside, text.endswith(_ASIDE)
        if (len(self.entries) < MAX_ENTRIES or self.most_lines == MAX_STACK_LINES) and not aside:
            found = culprit.parse(text)
            if len(self.entries) >= MAX_ENTRIES:  # a recursion goes on and on in the middle
                del self.entries[MAX_ENTRIES // 2:MAX_ENTRIES // 2 + len(found)]
            self.entries.extend(found)
            self.frames += sum(1 for entry in found if entry[0] == 'frame')

    def takes(self, segment):
        """True where the segment belongs to this report."""
        if self.ended or self.body >= self.most_lines or segment.written_by != self.segment.written_by or segment.host != self.segment.host:
            return False
        if self.kind not in patterns.STALL_KINDS and segment.caller != self.segment.caller:
            return False
        if segment.timestamp_s is not None and self.last_s is not None:
            self.ended = not -1.0 <= segment.timestamp_s - self.last_s <= MAX_GAP_S
        else:
            clock_s = log_lines.clock_s(segment)
            if clock_s is not None and self.last_clock_s is not None:
                self.ended = (clock_s - self.last_clock_s + 1) % 86400 > MAX_GAP_S + 1
        return not self.ended

    def continues(self, rule, text):
        """True where a header is only a further line of this report."""
        kind = rule.kind
        if self.kind in patterns.OOPS_KINDS and kind in patterns.OOPS_KINDS and not self.frames:
            return kind != 'kernel_bug' and (self.kind == 'kernel_bug' or ('[#' in text and '[#' not in self.header))
        if self.kind == 'list_corruption':
            return kind in ('warning', 'kernel_bug') and self.body < 5 or (kind == 'oops_trap' and not self.frames)
        if self.kind == 'oom':
            return kind == 'oom' and rule.part
        if self.kind == kind == 'fs_error':  # XFS says what it found and then what to do
            return self.header.startswith('XFS (') and text.startswith(self.header[:self.header.find(')') + 1]) and self.body < 20
        if self.kind == 'netdev_watchdog':
            return kind == 'warning' and self.body < 5
        if kind == 'netdev_watchdog':
            return self.kind == 'warning' and self.body < 5
        if self.needle == 'panicked at ':  # Rust code ends in a BUG() of its own
            return kind in patterns.OOPS_KINDS and not self.frames
        if self.kind == 'slab_corruption':
            return kind == 'info_other'
        if kind == 'info_other':
            return self.kind in ('kasan', 'slab_corruption')
        if self.kind == 'bug_mm':
            return kind == 'bug_mm' and not self.frames
        return self.kind == kind == 'mce'

    def become(self, rule, text):
        """Take the kind of a line that stands behind a header which says less, as NETDEV WATCHDOG behind its WARNING."""
        self.kind, self.needle, self.header = rule.kind, rule.needle, text
        self.details.become(rule.kind)

    def event(self):
        blamed, trace, callers = culprit.blame(self.kind, self.header, self.entries)
        segment = self.segment
        details = self.details.result(trace)
        return {
            'kind': self.kind,
            'title': printable(title(self.kind, details) or self.header.strip(), TITLE_CHARS),
            'culprit': blamed,
            'called_by': callers,
            'line': self.number,
            'written_by': segment.written_by or 'unknown',
            'induced': self.induced,
            'timestamp_s': segment.timestamp_s,
            'wall': segment.wall,
            'local_date': segment.local_date,
            'trace': trace,
            'excerpt': '\n'.join(printable(text, EXCERPT_CHARS) for text in self.excerpt)[:EXCERPT_CHARS],
            'host': printable(segment.host, HOST_CHARS) if segment.host else None,
            'signature': signature(self.kind, blamed, self.header, self.needle, details),
            'context': self.details.context(),
            'details': details,
        }


def title(kind, details):
    """A title that says more than the first line of the report: of an out-of-memory kill its victim, cgroup and limit. Else None."""
    if kind != 'oom' or 'victim' not in details:
        return None
    parts = ['Out of memory: killed %s (pid %d)' % (details['victim'], details['victim_pid'])]
    if details.get('memory_cgroup', '/') != '/':
        parts.append('cgroup %s' % details['memory_cgroup'])
    if 'limit_bytes' in details:
        parts.append('limit %d MiB' % (details['limit_bytes'] >> 20))
    if details.get('asked_by') not in (None, details['victim']):
        parts.append('%s asked for memory' % details['asked_by'])
    return ', '.join(parts)


def _repeats(panic, header):
    """Does a panic give the reason that the header before it gave?"""
    reason = panic[:TITLE_CHARS].partition('not syncing: ')[2].strip().lower()
    return len(reason) >= _REASON_CHARS and reason in header[:TITLE_CHARS].lower()


def signature(kind, blamed, header, needle, details):
    """What makes two reports the same on all hosts, boots and builds.

    That is the kind and the culprit; where the log names none, the source file, the program or the message,
    and where that would name devices or addresses, only the fixed words of the message.
    """
    if kind in _BY_DETAIL and _BY_DETAIL[kind] in details:
        return '%s:%s' % (kind, str(details[_BY_DETAIL[kind]])[:120])
    if blamed:
        return '%s:%s' % (kind, blamed)
    if kind in _BY_MESSAGE:
        what = header[:160]
    elif kind in _BY_PROGRAM:
        victim = _VICTIM.search(header[:TITLE_CHARS])
        what = victim.group(1) if victim else header.split('[', 1)[0].split(' invoked ', 1)[0][:64]
    else:
        place = _FILE.search(header[:TITLE_CHARS])
        what = place.group(1) if place else needle
    return '%s:%s' % (kind, _WORDS.sub('_', _NUMBER.sub('', what)).strip('_').lower()[:120] or 'unknown')


class Scanner:
    """Reads lines one at a time; reports come out in the order of their header lines."""

    def __init__(self):
        self._number = 0
        self._queue = deque()
        self._last = None  # the last serious report, whose follow-ups are induced
        self._export = None  # reads the records of a journal's export, or of its JSON over several lines
        self._ready = []     # events of lines that repeat an earlier one
        self._repeated = {}  # text of a line that is a report by itself: its event
        self._flaps = {}     # device: times at which its link went down, the newest ones
        self.unknown_lines = 0      # sure headers behind a prefix that nothing here reads
        self.unknown_example = None  # the first such line

    def feed(self, line, number=None, candidate=True):
        """Read one line (str without newline). Returns a list of the reports that are complete now.

        number: of the line, from 1, where lines without a header were left out; candidate: False where it is known to hold none.
        """
        self._number = number or self._number + 1
        if not candidate and not self._queue:
            return ()
        if self._export is not None or line.startswith(log_lines.Export.FIRST) or line == log_lines.Pretty.FIRST:
            return self._feed_export(line)
        if not self._queue and not patterns.may_match(line[:log_lines.MAX_RECORD_CHARS]) and log_lines.NUMBERS not in line:
            return ()
        segments = log_lines.segments(line)
        found = [self._segment(segment, self._number, candidate) for segment in segments]
        if candidate and not any(found) and not any(segment.kernel for segment in segments) and line[:1] not in '{\x1e':
            self._note_unknown(line)
        return self._complete(False)

    def _feed_export(self, line):
        if self._export is None:
            self._export = log_lines.Pretty() if line == log_lines.Pretty.FIRST else log_lines.Export()
        try:
            found = self._export.feed(line, self._number)
        except ValueError:
            self._export = None
            return ()
        for segment in found or ():
            self._segment(segment, self._export.message_at)
        if found is not None and line == '}':
            self._export = None
        return self._complete(False)

    def _note_unknown(self, line):
        """Remember a line with a sure header behind a prefix that is neither known nor another program's."""
        if patterns.may_match(line) and any(patterns.find(text,
                                                          False) for text in log_lines.behind_unknown(line[:log_lines.MAX_LINE_CHARS])):
            self.unknown_lines += 1
            self.unknown_example = self.unknown_example or printable(line, EXAMPLE_CHARS)

    def finish(self):
        """The reports that were still open at the end of the log."""
        return self._complete(True)

    def _segment(self, segment, number, candidate=True):
        """Read one text of the kernel. Returns True where it is a header."""
        if not self._queue and segment.kernel and segment.caller is None and segment.text in self._repeated:
            self._repeat(segment, number)
            return True
        found = patterns.find(segment.text, segment.kernel) if candidate else None
        owner = None
        for report in reversed(self._queue):
            if report.takes(segment):
                owner = report
                break
        if found is None:
            if owner is not None:
                if _END.match(segment.text):
                    owner.ended = True
                else:
                    owner.add(segment)
            return False
        rule, text = found
        if rule.kind == 'link_flap' and not self._flapped(text, segment):
            return True
        if owner is not None and owner.kind == 'warning' and rule.kind == 'netdev_watchdog' and owner.body < 5:
            owner.become(rule, text)
            owner.add(segment)
            return True
        if owner is not None and owner.segment.caller == segment.caller and owner.continues(rule, text):
            owner.add(segment)
            return True
        report = _Report(rule, text, number, segment)
        self._relate(report, owner)
        self._queue.append(report)
        return True

    def _repeat(self, segment, number):
        """A line alone, word for word as an earlier one: storms consist of these."""
        self._ready.append(dict(
            self._repeated[segment.text], line=number, timestamp_s=segment.timestamp_s, wall=segment.wall, local_date=segment.local_date,
            written_by=segment.written_by or 'unknown', host=printable(segment.host, HOST_CHARS) if segment.host else None))

    def _remember(self, report, event):
        """Keep the event of a line that is a report by itself, whatever stands around it."""
        text = report.segment.text
        if report.once and not report.body and not report.induced and report.segment.kernel and report.segment.caller is None and (
                report.kind != 'link_flap'):
            if len(self._repeated) >= MAX_REPEATED:
                self._repeated.clear()
            self._repeated[text] = event

    def _flapped(self, text, segment):
        """True where the link of the device that the text names went down often, lately. One loss is a cable or a reboot."""
        when = segment.timestamp_s
        device = patterns.LINK_DEVICE.search(text)
        if when is None or device is None:
            return False
        key = (segment.host, device.group(1))
        if key not in self._flaps and len(self._flaps) >= MAX_DEVICES:
            return False
        times = self._flaps.setdefault(key, deque(maxlen=FLAPS))
        times.append(when)
        return len(times) == FLAPS and 0 <= when - times[0] <= FLAP_S

    def _relate(self, report, owner):
        """Decide whether a new report only follows from an earlier one, and end that one."""
        last = self._last
        if last is not None and last.segment.written_by == report.segment.written_by and last.segment.host == report.segment.host and (
                self._near(last, report)):
            if report.kind == 'panic':
                report.induced = bool(_FOLLOW_PANIC.match(report.header)) or (
                    'SError' in report.header and 'SError' in last.header) or _repeats(report.header, last.header)
            elif last.kind in patterns.OOPS_KINDS and report.kind in _AFTERMATH:
                report.induced = last.segment.caller == report.segment.caller or report.kind in patterns.STALL_KINDS
            elif last.kind == 'kasan' and report.kind in patterns.OOPS_KINDS:
                report.induced = last.segment.caller == report.segment.caller
            elif last.kind == 'lockdep' and report.kind in patterns.OOPS_KINDS:  # the lock that it was to print is bad
                report.induced = last is owner and not last.frames
        if owner is not None and not report.once and owner.segment.caller == report.segment.caller:
            if report.induced and not owner.frames:
                report.parent = owner
            owner.ended = True
        if not report.once and not report.induced:
            self._last = report

    @staticmethod
    def _near(last, report):
        if last.last_s is not None and report.segment.timestamp_s is not None:
            return -1.0 <= report.segment.timestamp_s - last.last_s <= FOLLOW_S
        return report.number - last.number <= FOLLOW_LINES

    def _complete(self, everything):
        done, self._ready = self._ready, []
        while self._queue and (everything or self._closed(self._queue[0]) or len(self._queue) > MAX_OPEN):
            report = self._queue.popleft()
            event = report.event()
            self._remember(report, event)
            done.append(event)
        return done

    def _closed(self, report):
        if report.body >= report.most_lines or self._number - report.number > max(REACH_LINES, report.most_lines):
            return True
        return report.ended and not any(other.parent is report and not other.ended for other in self._queue)


def scan_lines(lines):
    """Yield a dict per kernel report found in lines (iterable of str without newlines), in log order, not deduplicated.

    kind: str; title: str, the header line; culprit: str or None; called_by: list of at most 2 str, the culprit's callers that are no
    helpers; line: int, 1-based number of the header line;
    written_by: 'kernel', 'program' or 'unknown'; host: whose log the line says it is, or None; induced: bool; timestamp_s: float printk
    seconds or None; wall: ISO UTC instant or None;
    local_date: 'Nov 23 05:38:57' in the host's own zone or None; trace: list of at most 32 str, innermost first;
    excerpt: str of at most 4096 characters; signature: str; context, details: dicts of L(details.Details).
    Never raises on what a line holds.
    """
    scanner = Scanner()
    for line in lines:
        yield from scanner.feed(line)
    yield from scanner.finish()
