# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of a log, stripped of all that its carrier put in front of the kernel's own text."""

import collections
import datetime
import re

MAX_LINE_CHARS = 4096

# text: what the kernel printed; timestamp_s: printk seconds or None; wall: ISO UTC instant or None;
# local_date: date without year or zone as the line has it, or None; caller: 'T12' or 'C0' or None;
# kernel: the line says by itself that the kernel printed it
Segment = collections.namedtuple('Segment', 'text timestamp_s wall local_date caller kernel')

_MONTH_DATE = re.compile(r'(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d) ')
_ISO_DATE = re.compile(r'(?:<\d{1,3}>)?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:([.,])\d{1,9})?(Z|[+-]\d\d:?\d\d)? ')
_SLASH_DATE = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ')
_TAG = re.compile(r'\S{1,255} (?:[a-z]{3,8}\.[a-z]{3,7} )?([^\s:\[\]]{1,64})(?:\[\d{1,10}\])?: ?')
_FACILITY = re.compile(r'([a-z0-9]{3,8}) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ')
_HUMAN_DATE = re.compile(r'\[[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) \d{4}\] ?')
_PRINTK = re.compile(r'(?:<\d{1,3}>)?\[ {0,16}(\d{1,9}\.\d{6})\](?: ?\[ {0,8}([TC]\d{1,8})\])? ?')
_REPEATED = re.compile(r'message repeated \d{1,9} times: \[ ?(.*?)\]?$')
_PRIORITY = re.compile(r'<\d{1,3}>')


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

    Returns (text, wall, local_date, kernel), or None where the line is another program's.
    """
    wall = local_date = None
    facility = _FACILITY.match(line)
    if facility:
        if facility.group(1) not in ('kern', 'user'):
            return None
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
        return line[tag.end():], wall, local_date, True
    human = _HUMAN_DATE.match(line)
    if human:
        return line[human.end():], None, human.group(1), True
    if line.startswith('kernel: '):
        return line[8:], wall, None, True
    slash = _SLASH_DATE.match(line)
    if slash:
        line = line[slash.end():]
    return line, wall, None, facility is not None or iso is not None


def segments(line):
    """Split one line into the kernel texts in it.

    line: str without newline. Returns a list of Segment: mostly one, none where another program
    wrote the line, several where a console ran two messages together.
    """
    line = line[:MAX_LINE_CHARS].replace('\0', ' ')
    carrier = _carrier(line)
    if carrier is None:
        return []
    text, wall, local_date, kernel = carrier
    if 'message repeated' in text:
        repeated = _REPEATED.match(text)
        if repeated:
            text = repeated.group(1)
    result = []
    start, seconds, caller = 0, None, None
    for stamp in _PRINTK.finditer(text) if '[' in text else ():
        head = text[start:stamp.start()]
        if head.strip():
            result.append(Segment(head, seconds, wall, local_date, caller, kernel or seconds is not None))
        start, seconds, caller = stamp.end(), float(stamp.group(1)), stamp.group(2)
    rest = text[start:]
    priority = _PRIORITY.match(rest)
    if priority:
        rest = rest[priority.end():]
    if rest.strip() or not result:
        result.append(Segment(rest, seconds, wall, local_date, caller, kernel or seconds is not None))
    return result


def clock_s(segment):
    """Second of the day in the line's own zone, or None where the line has no date."""
    clock = segment.wall[-9:-1] if segment.wall else (segment.local_date or '')[-8:]
    return int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:]) if clock else None
