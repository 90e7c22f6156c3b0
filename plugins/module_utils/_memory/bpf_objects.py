# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF maps and programs: how many, what they take, and whose they are. bpf(2) alone, no library.

The kernel tells the memory of each in /proc/self/fdinfo of a descriptor of it (memlock). The holder is a process with a descriptor, else
a file in a bpf file system, else the program that uses the map; links and attachments keep programs without any of these.
What processes of this process's own group hold is of this scan and left out.
"""

import collections
import ctypes
import os
import re
import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import mounts
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

_OBJ_GET, _MAP_NEXT, _MAP_FD = 7, 12, 14
LARGE_MAPS, LARGE_PROGRAMS, LARGE_BYTES = 1000, 1000, 512 * 2 ** 20
_MOST, _PINS, _ROWS = 4096, 2048, 16
_MEMLOCK = re.compile(r'^memlock:\s*(\d+)', re.MULTILINE)
_ID = re.compile(r'^(map|prog)_id:\s*(\d+)', re.MULTILINE)
_PROGRAM_CHUNK = 64  # the JIT packs programs in chunks of it since 5.18, in pages before

# id, name; kind: number of the type; size: of a map its entries, of a program its machine code in bytes; maps: ids that a program uses
Object = collections.namedtuple('Object', 'id name kind size memory maps')


class Table:
    """All maps or all programs, each asked for once: a later reading asks for new ones only.

    what: 'map' or 'prog'. Raises OSError where bpf(2) may not be used.
    """

    def __init__(self, what):
        self._what = what
        self._next, self._open = (_MAP_NEXT, _MAP_FD) if what == 'map' else (linux.BPF_PROG_GET_NEXT_ID, linux.BPF_PROG_GET_FD_BY_ID)
        self.objects, self.whole = {}, True

    def update(self):
        """Read which there are now."""
        found, last, self.whole = {}, 0, True
        while True:
            try:
                last = linux.bpf(self._next, last)[1][1]
            except FileNotFoundError:
                break
            if len(found) >= _MOST:
                self.whole = False
                break
            known = self.objects.get(last) or self._ask(last)
            if known is not None:
                found[last] = known
        self.objects = found

    def _ask(self, number):
        try:
            fd = linux.bpf(self._open, number)[0]
        except OSError:
            return None  # it ended meanwhile
        try:
            return describe(fd, self._what)
        except OSError:
            return None
        finally:
            os.close(fd)


def describe(fd, what):
    """Return the Object of a descriptor. Layouts: struct bpf_map_info, struct bpf_prog_info (uapi/linux/bpf.h). Raises OSError."""
    memlock = _MEMLOCK.search(read_text('/proc/self/fdinfo/%d' % fd))
    memory = int(memlock.group(1)) if memlock else 0
    words = _information(fd)
    if what == 'map':
        kind, number, _key, _value, entries = struct.unpack_from('=5I', words)
        return Object(number, _name(words[24:40]), kind, entries, memory, ())
    kind, number = struct.unpack_from('=2I', words)
    jited, = struct.unpack_from('=I', words, 16)
    used, = struct.unpack_from('=I', words, 52)
    maps = ()
    if used:
        ids = (ctypes.c_uint32 * min(used, 64))()
        asked = bytearray(256)
        struct.pack_into('=I', asked, 52, len(ids))
        struct.pack_into('=Q', asked, 56, ctypes.addressof(ids))
        _information(fd, asked)
        maps = tuple(ids)
    return Object(number, _name(words[64:80]), kind, jited, memory, maps)


def _information(fd, asked=None):
    buffer = (ctypes.c_char * 256).from_buffer(asked if asked is not None else bytearray(256))
    address = ctypes.addressof(buffer)
    linux.bpf(linux.BPF_OBJ_GET_INFO_BY_FD, fd, 256, address & 0xffffffff, address >> 32)
    return bytes(buffer)


def _name(raw):
    return printable(raw.split(b'\0')[0].decode('ascii', 'replace'), 16)


def jit_bytes(programs, release):
    """Return what the machine code of programs takes of net.core.bpf_jit_limit, about. release: (5, 10) of the kernel."""
    chunk = _PROGRAM_CHUNK if release >= (5, 18) else 4096
    return sum(-(-(program.size + 16) // chunk) * chunk for program in programs if program.size)


def pins(host):
    """Return {(what, id): path} of the bpf file systems of this mount namespace, at most _PINS files."""
    found, left = {}, _PINS
    points = sorted(set(row[0] for row in mounts.parse_mountinfo(mounts.read_mountinfo(host, 'self')) if row[1] == 'bpf'))
    for point in points:
        for folder, _folders, files in os.walk(point):
            for name in files:
                left -= 1
                if left < 0:
                    return found
                key = _pinned(os.path.join(folder, name))
                if key:
                    found.setdefault(key, os.path.join(folder, name))
    return found


def _pinned(path):
    name = ctypes.create_string_buffer(path.encode('utf-8', 'surrogateescape'))
    address = ctypes.addressof(name)
    try:
        fd = linux.bpf(_OBJ_GET, address & 0xffffffff, address >> 32)[0]
    except OSError:
        return None
    try:
        match = _ID.search(read_text('/proc/self/fdinfo/%d' % fd))
        return (match.group(1), int(match.group(2))) if match else None
    finally:
        os.close(fd)


class BpfSource(Source):
    """Maps and programs with the memory that they take."""

    STEPS = {'bpf_map': (4, 65536), 'bpf_program': (8, 65536)}
    LARGE = {'bpf_map': (LARGE_MAPS, LARGE_BYTES), 'bpf_program': (LARGE_PROGRAMS, LARGE_BYTES // 4)}

    def __init__(self, host):
        super().__init__(host)
        self._links, self._tasks = host.links, host.tasks
        self.maps, self.programs = Table('map'), Table('prog')
        self._sticky = {}

    def read(self):
        """How many there are and what they take."""
        found = {}
        for name, table in (('bpf_map', self.maps), ('bpf_program', self.programs)):
            try:
                table.update()
            except OSError as error:
                note = 'BPF maps and programs: %s' % error.strerror
                self.not_measured = sorted(set(self.not_measured) | {note})
                return found
            if not table.whole:
                self.not_measured = sorted(set(self.not_measured) | {'more than %d BPF %ss; the oldest are counted' % (_MOST, table._what)})
            found[name] = (len(table.objects), sum(one.memory for one in table.objects.values()))
        return found

    def census(self, classes):
        """By holder: process, file, program that uses them, or nobody."""
        held, own = {}, set()
        by_key = self._holding_processes(own)
        paths = pins(self.host) if self.host.root == '/' else {}
        users = {}
        for program in self.programs.objects.values():
            for number in program.maps:
                users.setdefault(number, program)
        rows = collections.defaultdict(list)
        for what, kind, table in (('prog', 'bpf_program', self.programs), ('map', 'bpf_map', self.maps)):
            for one in table.objects.values():
                key = (what, one.id)
                if key in own:
                    continue
                holder = self._holder(key, by_key, paths, users)
                if not self._links.whole:
                    holder = self._sticky.setdefault(key, holder)  # one that another sample of descriptors shows is no growth of its holder
                rows[(kind,) + holder].append(one)
        for (kind, where, _unused), (who, objects) in self._largest(rows):
            largest = max(objects, key=lambda one: (one.memory, one.id))
            detail = {'largest': largest.name or str(largest.id), 'id': largest.id, 'type': largest.kind, 'largest_bytes': largest.memory}
            if kind == 'bpf_map':
                detail['max_entries'] = largest.size
            if not self._links.whole and where[0] != 'process':
                detail['holder'] = 'not all descriptors were read'
            held[kind, where] = Holding(kind, who, len(objects), sum(one.memory for one in objects), detail)
        return held

    @staticmethod
    def _largest(rows):
        """The holders with most memory of each kind: [((kind, key, ''), (owner, objects))]."""
        found = []
        for (kind, where, who), objects in rows.items():
            found.append(((kind, where, ''), (dict(who), objects)))
        found.sort(key=lambda row: -sum(one.memory for one in row[1][1]))
        return found[:2 * _ROWS]

    def _holder(self, key, by_key, paths, users):
        """Return (key of the holder, its owner as items) of an object; key: ('map' or 'prog', id)."""
        if key in by_key:
            task = by_key[key]
            return ('process', task.key), tuple(self.host.owner_of(task).items())
        if key in paths:
            folder = os.path.dirname(paths[key])
            return ('pin', folder), tuple(owner('file', folder).items())
        if key[0] == 'map' and key[1] in users:
            program = users[key[1]]
            through = ('prog', program.id)
            if through in by_key or through in paths:
                return self._holder(through, by_key, paths, users)
            name = program.name or 'program %d' % program.id
            return ('program', name), tuple(owner('bpf_program', name).items())
        if key[0] == 'prog':
            name = self.programs.objects[key[1]].name or 'program without a name'
            return ('program', name), tuple(owner('bpf_program', name).items())
        return ('nobody',), tuple(owner('kernel', 'no process, file or program').items())

    def _holding_processes(self, own):
        """Return {('map' or 'prog', id): Process} of descriptors; own gets what this process group holds and its programs use."""
        found = {}
        for task, name, link, _share in self._links.now():
            key = self._object(task, name, link)
            if key:
                found.setdefault(key, task)
        own.update(key for key in (self._object(*row) for row in self._links.own()) if key)
        for what, number in list(own):
            if what == 'prog' and number in self.programs.objects:
                own.update(('map', used) for used in self.programs.objects[number].maps)
        return found

    def _object(self, task, name, link):
        if link not in ('anon_inode:bpf-map', 'anon_inode:bpf-prog'):
            return None
        match = _ID.search(read_text('%s/%d/fdinfo/%s' % (self.host.proc, task.pid, name)))
        return (match.group(1), int(match.group(2))) if match else None
