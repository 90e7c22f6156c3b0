# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of a log, stripped of all that its carrier put in front of the kernel's own text."""

import collections
import datetime
import json
import re

MAX_LINE_CHARS = 4096
MAX_RECORD_CHARS = 16 * 1024  # of a journal's record, whose fields are many
MAX_FIELDS = 64
NUMBERS = '"MESSAGE":['  # a journal's record whose text is not printable, as JSON

# text: what the kernel printed; timestamp_s: printk seconds or None; wall: ISO UTC instant or None;
# local_date: date without year or zone as the line has it, or None; caller: 'T12' or 'C0' or None;
# kernel: the line says by itself that it is from the kernel's log;
# written_by: 'kernel', 'program' (through /dev/kmsg), or None where the line does not tell
Segment = collections.namedtuple('Segment', 'text timestamp_s wall local_date caller kernel written_by')
Segment.__new__.__defaults__ = (None,)

_MONTH_DATE = re.compile(r'(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d) ')
_ISO_DATE = re.compile(r'(?:<\d{1,3}>)?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:([.,])\d{1,9})?(Z|[+-]\d\d:?\d\d)? ')
_SLASH_DATE = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ')
_TAG = re.compile(r'\S{1,255} (?:[a-z]{3,8}\.[a-z]{3,7} )?([^\s:\[\]]{1,64})(?:\[\d{1,10}\])?: ?')
_FACILITY = re.compile(r'([a-z0-9]{3,8}) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ')
_HUMAN_DATE = re.compile(r'\[[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \d{4}\] ?')
_PRINTK = re.compile(r'(?:<\d{1,3}>)?\[ {0,16}(\d{1,9}\.\d{6})(?:@\d{1,4})?\](?: ?\[ {0,8}([TC]\d{1,8})\])? ?')
_REPEATED = re.compile(r'message repeated \d{1,9} times: \[ ?(.*?)\]?$')
_PRIORITY = re.compile(r'<\d{1,3}>')
_RELATIVE_DATE = re.compile(r'\[(?:[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d| *\+\d{1,9}\.\d{6})\] ?')  # dmesg --reltime
_RFC5424 = re.compile(r'<\d{1,3}>1 (\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d) '
                      r'\S{1,255} (\S{1,48}) \S{1,128} \S{1,32} (?:-|\[.{0,1024}?\]) ?(?:\ufeff)?')
_KMSG = re.compile(r'(\d{1,4}),\d{1,20},(\d{1,15}),[-c+](?:,[^;]{0,64})?;')
_KMSG_CALLER = re.compile(r',caller=([TC]\d{1,8})')
_ESCAPE = re.compile(r'\x1b(?:\[[0-9;?]{0,16}[A-Za-z]|[()][A-Z0-9]|[=>])')  # of a serial console
_EPOCH = datetime.datetime(1970, 1, 1)
WRITERS = {0: 'kernel', 1: 'program'}  # by syslog facility: what a program writes to /dev/kmsg is 'user'; daemons have their own
_BY_NAME = {'kern': 'kernel', 'user': 'program'}


def _utc(date, clock, zone):
    """ISO UTC instant of a date with a zone, or None where it has none or is no date."""
    if not zone:
        return None
    try:
        moment = datetime.datetime.strptime(date + clock, '%Y-%m-%d%H:%M:%S')
        if zone != 'Z':
            minutes = int(zone[1:3]) * 60 + int(zone[-2:])
            moment -= datetime.timedelta(minutes=minutes if zone[0] == '+' else -minutes)
    except (ValueError, OverflowError):
        return None
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ') if moment.year >= 1000 else None


def _carrier(line):
    """Strip a syslog's, journal's or dmesg's prefix.

    Returns (text, wall, local_date, kernel, written_by), or None where the line is another program's.
    """
    wall = local_date = written_by = None
    modern = _RFC5424.match(line)
    if modern:
        return (line[modern.end():], _utc(*modern.group(1, 2, 3)), None, True, None) if modern.group(4) == 'kernel' else None
    facility = _FACILITY.match(line)
    if facility:
        if facility.group(1) not in _BY_NAME:
            return None
        written_by = _BY_NAME[facility.group(1)]
        line = line[facility.end():]
    tagged = False
    iso = _ISO_DATE.match(line)
    if iso:
        wall = _utc(iso.group(1), iso.group(2), iso.group(4))
        line = line[iso.end():]
        tagged = iso.group(3) != ','  # dmesg writes a comma, and no host and tag
    else:
        date = _MONTH_DATE.match(line)
        if date:
            local_date = date.group(1)
            line = line[date.end():]
            tagged = True
    if tagged:
        tag = _TAG.match(line)
        if not tag or tag.group(1) != 'kernel':
            return None
        return line[tag.end():], wall, local_date, True, written_by
    human = _HUMAN_DATE.match(line)
    if human:
        return line[human.end():], None, human.group(1), True, written_by
    relative = _RELATIVE_DATE.match(line)
    if relative:
        return line[relative.end():], None, None, True, written_by
    if line.startswith('kernel: '):
        return line[8:], wall, None, True, written_by
    slash = _SLASH_DATE.match(line)
    if slash:
        line = line[slash.end():]
    return line, wall, None, facility is not None or iso is not None, written_by


def _kmsg_record(record, line):
    """A record as /dev/kmsg gives it."""
    facility = int(record.group(1)) >> 3
    if facility not in WRITERS:
        return []
    caller = _KMSG_CALLER.search(record.group())
    return [Segment(line[record.end():], int(record.group(2)) / 1e6, None, None, caller.group(1) if caller else None, True,
                    WRITERS[facility])]


def _journal_json(line):
    """A line of journalctl --output=json; of other programs' records and of what is no record, nothing."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return []
    message = fields.get('MESSAGE')
    if isinstance(message, list):  # what is not printable comes as numbers
        message = ''.join(chr(number) for number in message[:MAX_LINE_CHARS] if isinstance(number, int) and 0 <= number < 256)
    if not isinstance(message, str):
        return []
    return journal_record(dict(fields, MESSAGE=message))


def journal_record(fields):
    """Segments of a record of systemd's journal.

    fields: {name: str}, of which _TRANSPORT, SYSLOG_FACILITY, __REALTIME_TIMESTAMP and _SOURCE_MONOTONIC_TIMESTAMP (microseconds) and
    MESSAGE are used.
    """
    if fields.get('_TRANSPORT') != 'kernel' or not fields.get('MESSAGE'):
        return []
    since_boot_s = _microseconds(fields.get('_SOURCE_MONOTONIC_TIMESTAMP'))
    real_s = _microseconds(fields.get('__REALTIME_TIMESTAMP'))
    wall = None
    if real_s is not None and 0 <= real_s < 253402300800:
        wall = (_EPOCH + datetime.timedelta(seconds=int(real_s))).strftime('%Y-%m-%dT%H:%M:%SZ')
    text = fields['MESSAGE'][:MAX_LINE_CHARS].replace('\0', ' ')
    written_by = {'0': 'kernel', '1': 'program'}.get(fields.get('SYSLOG_FACILITY'))
    return [Segment(part, since_boot_s, wall, None, None, True, written_by) for part in text.split('\n')]


def _microseconds(text):
    return int(text) / 1e6 if isinstance(text, str) and text.isdigit() and len(text) < 20 else None


class Export:
    """Reads journalctl --output=export: blocks of lines NAME=value, ended by an empty line."""

    FIRST = '__CURSOR='

    def __init__(self):
        self._fields = {}
        self.message_at = 0  # the number of the line that the last returned record has its text in

    def feed(self, line, number):
        """Read one line. Returns the record's segments when it is complete, else None."""
        if line:
            name, equals, value = line[:MAX_RECORD_CHARS].partition('=')
            if equals and len(self._fields) < MAX_FIELDS:
                self._fields.setdefault(name, value)
                if name == 'MESSAGE':
                    self.message_at = number
            return None
        fields, self._fields = self._fields, {}
        return journal_record(fields)


def segments(line):
    """Split one line into the kernel texts in it.

    line: str without newline. Returns a list of Segment: mostly one, none where another program
    wrote the line, several where a console ran two messages together.
    """
    if line.startswith('{"'):
        return _journal_json(line[:MAX_RECORD_CHARS])
    line = line[:MAX_LINE_CHARS].replace('\0', ' ')
    if '\x1b' in line:
        line = _ESCAPE.sub('', line)
    record = _KMSG.match(line)
    if record:
        return _kmsg_record(record, line)
    carrier = _carrier(line)
    if carrier is None:
        return []
    text, wall, local_date, kernel, written_by = carrier
    if 'message repeated' in text:
        repeated = _REPEATED.match(text)
        if repeated:
            text = repeated.group(1)
    result = []
    start, seconds, caller = 0, None, None
    for stamp in _PRINTK.finditer(text) if '[' in text else ():
        head = text[start:stamp.start()]
        if head.strip():
            result.append(Segment(head, seconds, wall, local_date, caller, kernel or seconds is not None, written_by))
        start, seconds, caller = stamp.end(), float(stamp.group(1)), stamp.group(2)
    rest = text[start:]
    priority = _PRIORITY.match(rest)
    if priority:
        rest = rest[priority.end():]
    if rest.strip() or not result:
        result.append(Segment(rest, seconds, wall, local_date, caller, kernel or seconds is not None, written_by))
    return result


def clock_s(segment):
    """Second of the day in the line's own zone, or None where the line has no date."""
    clock = segment.wall[-9:-1] if segment.wall else (segment.local_date or '')[-8:]
    return int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:]) if clock else None
