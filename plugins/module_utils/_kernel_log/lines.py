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
# local_date: date without zone, as '[2026 ]Nov 23 05:38:57', the year where the line has one, or None; caller: 'T12' or 'C0' or None;
# kernel: the line says by itself that it is from the kernel's log;
# written_by: 'kernel', 'program' (through /dev/kmsg), or None where the line does not tell; host: whose kernel, where the line tells
Segment = collections.namedtuple('Segment', 'text timestamp_s wall local_date caller kernel written_by host')
Segment.__new__.__defaults__ = (None, None)

# text: behind the prefix; the others as in a Segment
_Prefix = collections.namedtuple('_Prefix', 'text wall local_date kernel written_by host timestamp_s')
_Prefix.__new__.__defaults__ = (None, None, False, None, None, None)

_NO_PREFIX = _Prefix('')

_WEEKDAY = r'(?:[^\W\d_]{1,5}\.?,? )?'
_CLOCK = r'(\d\d:\d\d:\d\d)'
_LEVEL = r'(?:emerg|alert|crit|err|warn|warning|notice|info|debug)'
# Nov  3 05:38:57, also of journalctl in another language (nov. 3, 11\u6708 03), with microseconds, with a year before or behind
_MONTH_DATE = re.compile(r'(?:<\d{1,3}>)?' + _WEEKDAY + r'(?:(\d{4}) )?([^\W_]{2,8})\.? ([ \d]?\d) ' + _CLOCK +
                         r'(?:\.\d{1,9})?(?: (\d{4}))?:? ')
_ISO_DATE = re.compile(r'(?:<\d{1,3}>)?(' + _WEEKDAY + r')(\d{4}-\d\d-\d\d)[T ]' + _CLOCK + r'(?:([.,])\d{1,9})?(Z|[+-]\d\d:?\d\d)? ')
_ZONE_NAME = re.compile(r'([A-Z]{3,5}|[+-]\d\d) ')
_UNIX_DATE = re.compile(r'(\d{9,11})\.\d{6} ')
_SLASH_DATE = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ')
_TAG = re.compile(r'(?:(\S{0,254}[^\s:]) )?(?:[a-z]{3,8}\.[a-z]{3,7} )?([^\s:\[\]]{1,64})(?:\[\d{1,10}\])?: ?')
_HOST_ONLY = re.compile(r'([\w.:-]{1,255}) (?=(?:<\d{1,3}>)?\[ {0,16}\d{1,12}\.\d{6}[\]@]|'  # netconsole
                        r'\d{1,4},\d{1,20},\d{1,15},[-c+][,;])')
_STREAM = re.compile(r'(?:stdout|stderr) [FP] ')  # of a container's log file
_STAMPED = re.compile(r'(?:<\d{1,3}>)?\[ {0,16}\d{1,12}\.\d{6}[\]@]')
_FACILITY = re.compile(r'([a-z0-9]{3,8}) *:' + _LEVEL + r' *: ')
_TALOS = re.compile(r'(?:(\S{1,255}): +)?([a-z0-9]{3,8}): +' +
                    _LEVEL +
                    r': \[(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)\]: ?')
_HUMAN_DATE = re.compile(r'\[[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?: ([A-Z]{3,5}|[+-]\d\d))? (\d{4})\] ?')
_MONOTONIC = re.compile(r'\[ {0,16}(\d{1,12}\.\d{6})(?: <[ \d.]{1,24}>)?\] (\S{1,255}) kernel: ')
_PRINTK = re.compile(r'(?:<\d{1,3}>)?\[ {0,16}(\d{1,12}\.\d{6})(?:@\d{1,4})?(?:,\d{1,4})? {0,4}\](?: ?\[ {0,8}([TC]\d{1,8}) {0,8}\])? ?')
_REPEATED = re.compile(r'message repeated \d{1,9} times: \[ ?(.*?)\]?$')
_PRIORITY = re.compile(r'<\d{1,3}>')
_RELATIVE_DATE = re.compile(r'\[(?:[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d| *\+\d{1,9}\.\d{6})\] ?')  # dmesg --reltime
_RFC5424 = re.compile(r'<\d{1,3}>1 (\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d) '
                      r'(\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} (?:-|\[.{0,1024}?\]) ?(?:\ufeff)?')
_KMSG = re.compile(r'(?:\d{1,3}\.\d{1,3}\.\S{1,64}?,)?(\d{1,4}),\d{1,20},(\d{1,15}),[-c+](?:,[^;]{0,64})?;')
_KMSG_CALLER = re.compile(r',caller=([TC]\d{1,8})')
_ESCAPE = re.compile(r'\x1b(?:\[[0-9;?]{0,16}[A-Za-z]|[()][A-Z0-9]|[=>])')  # of a serial console
_EPOCH = datetime.datetime(1970, 1, 1)
MONTHS = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')
# How the months begin in other languages that syslogs and journals are written in: French, German, Spanish, Italian, Portuguese, Russian.
_FOREIGN_MONTHS = dict((beginning, number) for number, beginnings in enumerate((
    'jan ene gen \u044f\u043d\u0432', 'feb fev f\xe9v \u0444\u0435\u0432', 'mar m\xe4r mrz \u043c\u0430\u0440',
    'apr avr abr \u0430\u043f\u0440', 'may mai mag \u043c\u0430\u0439 \u043c\u0430\u044f', 'jun juin giu \u0438\u044e\u043d',
    'jul juil lug \u0438\u044e\u043b', 'aug aou ao\xfb ago \u0430\u0432\u0433', 'sep set \u0441\u0435\u043d',
    'oct okt ott out \u043e\u043a\u0442', 'nov \u043d\u043e\u044f',
    'dec d\xe9c dez dic \u0434\u0435\u043a')) for beginning in beginnings.split())
WRITERS = {0: 'kernel', 1: 'program'}  # by syslog facility: what a program writes to /dev/kmsg is 'user'; daemons have their own
_BY_NAME = {'kern': 'kernel', 'user': 'program'}
_UNKNOWN_WORD = re.compile(r"([^\s'\"=`(){}]{1,255})\s+")
_UNKNOWN_WORDS = 8
_CLOCK_LIKE = re.compile(r'\d\d[:.hH-]\d\d[:.mM-]\d\d|\d{9,13}|\d{1,9}\.\d{3,9}')
_NESTED = 2  # prefixes in front of each other, as a container's log of a syslog


def _utc(date, clock, zone):
    """ISO UTC instant of a date with a zone, or None where it has none or is no date."""
    if not zone:
        return None
    try:
        moment = datetime.datetime.strptime(date + clock, '%Y-%m-%d%H:%M:%S')
        if zone not in ('Z', 'UTC', 'GMT'):
            minutes = int(zone[1:3]) * 60 + (int(zone[-2:]) if len(zone) > 3 else 0)
            moment -= datetime.timedelta(minutes=minutes if zone[0] == '+' else -minutes)
    except (ValueError, OverflowError):
        return None
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ') if moment.year >= 1000 else None


def _unix(seconds):
    """ISO UTC instant of seconds since 1970."""
    return (_EPOCH + datetime.timedelta(seconds=int(seconds))).strftime('%Y-%m-%dT%H:%M:%SZ')


def _month(name):
    """A month's English abbreviation, or None where the name is not known."""
    if name in MONTHS:
        return name
    digits = name[:-1]
    if digits.isdigit() and len(digits) < 3 and 1 <= int(digits) <= 12:  # Chinese, Japanese, Korean
        return MONTHS[int(digits) - 1]
    name = name.lower()
    number = _FOREIGN_MONTHS.get(name[:4], _FOREIGN_MONTHS.get(name[:3]))
    return None if number is None else MONTHS[number]


def _dated(line):
    """(rest of the line, wall, local_date, whether a syslog's date) of a line that begins with a date, else None."""
    iso = _ISO_DATE.match(line)
    if iso:
        weekday, date, clock, comma, zone = iso.groups()
        end = iso.end()
        if weekday and not zone:  # journalctl's short-full
            name = _ZONE_NAME.match(line, end)
            if name:
                end = name.end()
                zone = name.group(1) if name.group(1) in ('UTC', 'GMT') or name.group(1)[0] in '+-' else None
        wall = _utc(date, clock, zone)
        month = int(date[5:7])
        local = None if zone or not 1 <= month <= 12 else '%s %s %2d %s' % (date[:4], MONTHS[month - 1], int(date[8:]), clock)
        return line[end:], wall, local, comma != ','  # dmesg writes a comma, and no host and tag
    found = _MONTH_DATE.match(line)
    if found:
        before, name, day, clock, behind = found.groups()
        month, year = _month(name), before or behind
        local = '%s%s %2d %s' % (year + ' ' if year else '', month, int(day), clock) if month else None
        return line[found.end():], None, local, True
    unix = _UNIX_DATE.match(line)
    if unix:
        return line[unix.end():], _unix(unix.group(1)), None, True
    return None


def _tagged(rest, wall, local_date, written_by, depth):
    """L(_Prefix) of what stands behind a syslog's date, or None where it is another program's."""
    rest = rest.lstrip(' ')  # where the name of the host was removed
    tag = _TAG.match(rest)
    if tag and tag.group(2) == 'kernel':
        return _Prefix(rest[tag.end():], wall, local_date, True, written_by, tag.group(1))
    host = _HOST_ONLY.match(rest)
    if host:
        return _Prefix(rest[host.end():], wall, local_date, True, written_by, host.group(1))
    if _STAMPED.match(rest):
        return _Prefix(rest, wall, local_date, True, written_by)
    stream = _STREAM.match(rest)
    if depth < _NESTED and (stream or not tag):
        inner = _prefix(rest[stream.end():] if stream else rest, depth + 1)
        if inner is not None and (inner.kernel or _STAMPED.match(inner.text)):
            return inner._replace(wall=inner.wall or wall, local_date=None if inner.wall or wall else inner.local_date or local_date,
                                  kernel=True)
    return None


def _prefix(line, depth=0):
    """Strip what a syslog, journal, dmesg or container engine puts in front. Returns L(_Prefix), or None for another program's line."""
    if line.startswith('['):
        monotonic = _MONOTONIC.match(line)
        if monotonic:
            return _Prefix(line[monotonic.end():], None, None, True, None, monotonic.group(2), float(monotonic.group(1)))
        human = _HUMAN_DATE.match(line)
        if human:
            date, zone, year = human.groups()
            if zone in ('UTC', 'GMT') and date[:3] in MONTHS:
                day = '%s-%02d-%02d' % (year, MONTHS.index(date[:3]) + 1, int(date[4:6]))
                return _Prefix(line[human.end():], _utc(day, date[-8:], zone), None, True)
            return _Prefix(line[human.end():], None, '%s %s' % (year, date), True)
        relative = _RELATIVE_DATE.match(line)
        return _Prefix(line[relative.end():], None, None, True) if relative else _Prefix(line)
    modern = _RFC5424.match(line)
    if modern:
        if modern.group(5) != 'kernel':
            return None
        host = modern.group(4)
        return _Prefix(line[modern.end():], _utc(*modern.group(1, 2, 3)), None, True, None, None if host == '-' else host)
    written_by = None
    facility = _FACILITY.match(line)
    if facility:
        written_by = _BY_NAME.get(facility.group(1))
        if written_by is None:
            return None
        line = line[facility.end():]
    talos = _TALOS.match(line)
    if talos:
        written_by = _BY_NAME.get(talos.group(2))
        return _Prefix(line[talos.end():], _utc(*talos.group(3, 4, 5)), None, True, written_by, talos.group(1)) if written_by else None
    dated = _dated(line)
    if dated:
        rest, wall, local_date, syslog = dated
        return _tagged(rest, wall, local_date, written_by, depth) if syslog else _Prefix(rest, wall, local_date, True, written_by)
    if facility and line.startswith('['):
        return (_prefix(line, depth) or _Prefix(line))._replace(kernel=True, written_by=written_by)
    if line.startswith('kernel: '):
        return _Prefix(line[8:], None, None, True, written_by)
    slash = _SLASH_DATE.match(line)
    return _Prefix(line[slash.end():] if slash else line, None, None, facility is not None, written_by)


def _kmsg_record(record, line, prefix=_NO_PREFIX):
    """A record as /dev/kmsg gives it, and netconsole sends it."""
    facility = int(record.group(1)) >> 3
    if facility not in WRITERS:
        return []
    caller = _KMSG_CALLER.search(record.group())
    return [Segment(line[record.end():], int(record.group(2)) / 1e6, prefix.wall, prefix.local_date, caller.group(1) if caller else None,
                    True, WRITERS[facility], prefix.host)]


def _json(line):
    """The kernel texts of a record in JSON, journalctl's or a container's; nothing of other programs' records and of what is no record."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return []
    if not isinstance(fields, dict):
        return []
    if isinstance(fields.get('log'), str) and isinstance(fields.get('time'), str):
        # what a container writes is the kernel's only where the text says so
        text = fields['log'].rstrip('\n')
        inner = _tagged(text, None, None, None, 1) or _prefix(text, 1)
        return [part._replace(wall=part.wall or _utc(fields['time'][:10], fields['time'][11:19], 'Z')) for part in _split(inner)
                ] if inner is not None and (inner.kernel or _STAMPED.match(inner.text)) else []
    message = fields.get('MESSAGE')
    if isinstance(message, list):  # what is not printable comes as numbers
        message = ''.join(chr(number) for number in message[:MAX_LINE_CHARS] if isinstance(number, int) and 0 <= number < 256)
    if not isinstance(message, str):
        return []
    return journal_record(dict(fields, MESSAGE=message))


def journal_record(fields):
    """Segments of a record of systemd's journal.

    fields: {name: str}, of which _TRANSPORT, SYSLOG_FACILITY, _HOSTNAME, __REALTIME_TIMESTAMP and _SOURCE_MONOTONIC_TIMESTAMP
    (microseconds) and MESSAGE are used.
    """
    if fields.get('_TRANSPORT') != 'kernel' or not fields.get('MESSAGE'):
        return []
    since_boot_s = _microseconds(fields.get('_SOURCE_MONOTONIC_TIMESTAMP'))
    real_s = _microseconds(fields.get('__REALTIME_TIMESTAMP'))
    wall = None
    if real_s is not None and 0 <= real_s < 253402300800:
        wall = _unix(real_s)
    text = fields['MESSAGE'][:MAX_LINE_CHARS].replace('\0', ' ')
    written_by = {'0': 'kernel', '1': 'program'}.get(fields.get('SYSLOG_FACILITY'))
    host = fields.get('_HOSTNAME')
    host = host[:255] if isinstance(host, str) else None
    return [Segment(part, since_boot_s, wall, None, None, True, written_by, host) for part in text.split('\n')]


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


class Pretty:
    """Reads journalctl --output=json-pretty: an object over several lines."""

    FIRST = '{'
    MOST_LINES = 512

    def __init__(self):
        self._lines = []
        self._chars = 0
        self.message_at = 0

    def feed(self, line, number):
        """Read one line. Returns the record's segments when it is complete, else None; raises ValueError where it is no record."""
        self._lines.append(line)
        self._chars += len(line)
        if self._chars > 4 * MAX_RECORD_CHARS or len(self._lines) > self.MOST_LINES or (len(self._lines) == 2
                                                                                        and not line.startswith('\t"')):
            raise ValueError('no record')
        if line.startswith('\t"MESSAGE"'):
            self.message_at = number
        if line != '}':
            return None
        lines, self._lines, self._chars = self._lines, [], 0
        return _json(''.join(lines))


def segments(line):
    """Split one line into the kernel texts in it.

    line: str without newline. Returns a list of Segment: mostly one, none where another program
    wrote the line, several where a console ran two messages together.
    """
    if line.startswith(('{"', '\x1e{', 'data: {')):  # journalctl's json, json-seq and json-sse
        return _json(line[:MAX_RECORD_CHARS].lstrip('\x1e').replace('data: ', '', 1) if line[0] != '{' else line[:MAX_RECORD_CHARS])
    line = line[:MAX_LINE_CHARS].replace('\0', ' ')
    if '\x1b' in line:
        line = _ESCAPE.sub('', line)
    record = _KMSG.match(line)
    if record:
        return _kmsg_record(record, line)
    prefix = _prefix(line)
    return [] if prefix is None else _split(prefix)


def _split(prefix):
    """The segments of what stands behind a prefix."""
    text, wall, local_date, kernel, written_by, host, seconds = prefix
    record = _KMSG.match(text) if text[:1].isdigit() else None
    if record:
        return _kmsg_record(record, text, prefix)
    if 'message repeated' in text:
        repeated = _REPEATED.match(text)
        if repeated:
            text = repeated.group(1)
    result = []
    start, caller = 0, None
    for stamp in _PRINTK.finditer(text) if '[' in text else ():
        head = text[start:stamp.start()]
        if head.strip():
            result.append(Segment(head, seconds, wall, local_date, caller, kernel or seconds is not None, written_by, host))
        start, seconds, caller = stamp.end(), float(stamp.group(1)), stamp.group(2)
    rest = text[start:]
    priority = _PRIORITY.match(rest)
    if priority:
        rest = rest[priority.end():]
    if rest.strip() or not result:
        result.append(Segment(rest, seconds, wall, local_date, caller, kernel or seconds is not None, written_by, host))
    return result


def behind_unknown(line):
    """Yield what may stand behind a prefix of an unknown form: a few words with a time among them.

    Nothing where the words name a program, or quote.
    """
    clock = False
    for _unused in range(_UNKNOWN_WORDS):
        word = _UNKNOWN_WORD.match(line)
        if not word or (word.group(1)[-1] == ':' and word.group(1) != 'kernel:' and not _CLOCK_LIKE.search(word.group(1))):
            return
        clock = clock or bool(_CLOCK_LIKE.search(word.group(1)))
        line = line[word.end():]
        if clock:
            yield line


def clock_s(segment):
    """Second of the day in the line's own zone, or None where the line has no date."""
    clock = segment.wall[-9:-1] if segment.wall else (segment.local_date or '')[-8:]
    return int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:]) if clock else None
