# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets: data that nobody reads or sends on, connections that the other end closed, and those that wait for their end.

Sockets are counted in groups, of one protocol, port and state. Whose they are is found by their inode numbers among the links of
descriptors: of processes in the socket's cgroup, where the kernel reports that, else of its user.
"""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import cgroups, descriptors, sock_diag
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

LEAST_BYTES, LEAST = 64 * 1024, 16  # of a group that is listed
NAMESPACES = 32  # whose sockets are listed, besides this one
GROUPS = 32  # of one kind whose owners are looked for, largest first
INODES, MIXED_INODES = 64, 512  # of one group that are looked for; of one whose sockets belong to several processes
LINKS, LINKS_OF_LARGE, LARGE_BYTES, LARGE_NUMBER = 2000, 6000, 1024 * 1024, 1000
FIRST_LINKS, LINKS_OF_MIXED = 16, 512  # of one process: the second where there are sockets among the first
_INODE = re.compile(r'socket:\[(\d+)\]')


class _Group:
    """Sockets of one kind and port: what they hold together, and some of their inodes."""

    def __init__(self, kind, detail, mixed=False):
        self.kind, self.detail = kind, detail
        self.mixed = mixed  # its sockets belong to more than one process
        self.count, self.bytes = 0, 0
        self.inodes, self.uids, self.cgroups = {}, set(), set()  # {inode: bytes}

    def add(self, one, taken):
        self.count += 1
        self.bytes += taken
        if one.inode and len(self.inodes) < (MIXED_INODES if self.mixed else INODES):
            self.inodes[one.inode] = self.inodes.get(one.inode, 0) + taken
        self.uids.add(one.uid)
        self.cgroups.add(one.cgroup)

    @property
    def large(self):
        return self.bytes >= LARGE_BYTES or self.count >= LARGE_NUMBER


class Finder:
    """Finds the processes that hold sockets; what it found it remembers."""

    def __init__(self, host):
        self._host = host
        self._found = {}  # {inode: (key of a process, descriptor)}
        self._cgroups = {}  # {number of a cgroup: its processes}
        self._v2 = cgroups.hierarchies(host.root).get('v2')
        self._left = self._more = 0  # links that may still be read in this census, and once more for a large group
        self._read = {}  # {key of a process: (descriptors, links that were read of them)}

    def begin(self):
        """A new census: links may be read again."""
        self._left, self._more, self._cgroups = LINKS, LINKS_OF_LARGE - LINKS, {}

    def find(self, group):
        """Return {Process: {its descriptor: inode}} of the processes that hold a group's sockets."""
        by_key = dict((one.key, one) for one in self._host.processes())
        found = self._known(group, by_key)
        hits = sum(len(places) for places in found.values())
        if not hits or (group.mixed and hits < len(group.inodes)):
            if group.large:
                self._left, self._more = self._left + self._more, 0
            self._search(group)
            found = self._known(group, by_key)
        return found

    def _known(self, group, by_key):
        found = {}
        for inode in group.inodes:
            key, number = self._found.get(inode, (None, None))
            if key in by_key:
                found.setdefault(by_key[key], {})[number] = inode
        return found

    def _search(self, group):
        wanted = set(inode for inode in group.inodes if inode not in self._found)
        for process in self._candidates(group):
            if self._left <= 0 or not wanted:
                return
            try:
                number = descriptors.count(process) or int(process.fields.get('FDSize', 0))
            except PermissionError:
                continue
            # Of many sockets of one process a few hits are enough, and a sample finds them; of few, each link has to be read.
            most = LINKS_OF_MIXED if group.mixed else max(128, 8 * number // group.count)
            before = self._read.get(process.key)
            if before and before[0] == number and (before[1] >= most or before[1] >= number):
                continue
            self._read[process.key] = (number, most)
            if not group.mixed or self._note(process, number, FIRST_LINKS, wanted):
                self._note(process, number, most, wanted)

    def _note(self, process, number, most, wanted):
        """Read so many links of a process at most, and remember sockets; returns how many there were."""
        links = descriptors.sample(process, number, 0, max(1, min(self._left, most)))
        self._left -= max(1, len(links))
        inodes = [(place, _INODE.match(text)) for place, text in links.items()]
        inodes = [(place, int(match.group(1))) for place, match in inodes if match]
        for place, inode in inodes:
            self._found[inode] = (process.key, place)
            wanted.discard(inode)
        return len(inodes)

    def _candidates(self, group):
        """Processes that may hold them: those of the sockets' cgroups first, then those of their users.

        Those that hold many descriptors come last where few sockets are looked for, else first; the busiest where it may be several.
        """
        members = set()
        for number in group.cgroups:
            if number not in self._cgroups:
                self._cgroups[number] = cgroups.members(self._v2, number) if number and self._v2 else ()
            members.update(self._cgroups[number])

        def rank(process):
            return (process.pid not in members, process.uid not in group.uids and None not in group.uids,
                    0 if group.mixed else process.descriptors or 0 if group.count < INODES else -(process.descriptors or 0))
        return sorted(self._host.busiest(), key=rank)


class Sockets(Source):
    """Queues and states of sockets of all network namespaces that have a process, up to a bound."""

    STEPS = {'tcp_memory': (None, 256 * 1024), 'udp_memory': (None, 256 * 1024), 'packets': (128, None), 'time_wait': (64, None)}
    LARGE = {'tcp_memory': (None, 16 * 1024 * 1024), 'udp_memory': (None, 4 * 1024 * 1024), 'packets': (20000, None),
             'tcp_sockets': (2000, None), 'time_wait': (5000, None), 'unix_sockets': (5000, None)}

    def __init__(self, host):
        super().__init__(host)
        self._diag = sock_diag.Diag(host.root)
        self._finder = Finder(host)
        self._page = os.sysconf('SC_PAGE_SIZE')

    def read(self):
        fields = procfs.parse_sockstat(procfs.read_text(self.host.proc + '/net/sockstat'))
        tcp, udp = fields.get('TCP', {}), fields.get('UDP', {})
        return {
            'tcp_memory': (None, tcp.get('mem', 0) * self._page),
            'udp_memory': (None, udp.get('mem', 0) * self._page),
            'time_wait': (max(tcp.get('tw', 0), self.host.objects('tw_sock_TCP', 'tw_sock_TCPv6') or 0), None),
            'tcp_sockets': (self.host.objects('TCP', 'TCPv6'), None),
            'unix_sockets': (self.host.objects('UNIX', 'UNIX-STREAM'), None),
            'packets': (self.host.objects('skbuff_head_cache', 'skbuff_fclone_cache'), None),
        }

    def census(self, classes):
        self._finder.begin()
        groups = []
        for diag in self._diags():
            if classes & {'tcp_memory', 'tcp_sockets', 'time_wait'}:
                groups += self._tcp(diag, bool(classes & {'tcp_memory'}), 'time_wait' in classes)
            if 'udp_memory' in classes:
                groups += self._by_port(diag, 'udp', 'udp_unread')
            if 'packets' in classes:
                groups += self._by_port(diag, 'raw', 'raw_unread')
                groups += _grouped(('packet_unread', None, one, one.unread) for one in diag.packet() if one.unread)
                groups += _grouped(('netlink_unread', one.port, one, one.unread) for one in diag.netlink() if one.unread)
            if classes & {'packets', 'unix_sockets'}:
                groups += self._unix(diag)
        return self._holdings(groups)

    def _diags(self):
        """Return a Diag of this network namespace, and of others, those with most processes first."""
        namespaces = dict(self.host.tasks.namespaces('net'))
        namespaces.pop(self.host.tasks.namespace('self', 'net'), None)
        others = sorted(namespaces.values(), key=lambda members: (-len(members), members[0].pid))
        if len(others) > NAMESPACES:
            note = 'queues of sockets: more than %d network namespaces; those with most processes are read' % NAMESPACES
            self.not_measured = sorted(set(self.not_measured) | {note})
        return [self._diag] + [sock_diag.Diag(self.host.root, members[0].pid) for members in others[:NAMESPACES]]

    def _tcp(self, diag, queues, waiting):
        states = 1 << sock_diag.LISTEN | 1 << sock_diag.CLOSE_WAIT
        states |= 1 << sock_diag.TIME_WAIT if waiting else 0
        sockets = diag.inet('tcp', sock_diag.ALL_STATES & ~(0 if waiting else 1 << sock_diag.TIME_WAIT) if queues else states)
        listening = dict((one.port, one) for one in sockets if one.state == sock_diag.LISTEN)
        groups = _grouped(_tcp_kinds(sockets, listening))
        for group in groups:
            # Those that wait for their end have no owner any more, and those that nobody accepted have none yet: name who listens.
            if (group.kind == 'tcp_time_wait' or not group.inodes) and group.detail.get('port') in listening:
                group.inodes = {listening[group.detail['port']].inode: 0}
        return groups

    @staticmethod
    def _by_port(diag, protocol, kind):
        return _grouped((kind, ('port', one.port), one, one.unread) for one in diag.inet(protocol) if one.unread)

    @staticmethod
    def _unix(diag):
        """Data in queues of unix sockets are memory of the sender's side, and the other end does not read them."""
        try:
            sockets = dict((one.inode, one) for one in diag.unix())
        except sock_diag.Missing:
            return []
        unread = [(sockets.get(one.peer, one), one.unsent) for one in sockets.values() if one.unsent]
        group = _Group('unix_unread', {}, mixed=True)
        for reader, taken in sorted(unread, key=lambda pair: -pair[1]):
            group.add(reader, taken)
        return [group] if unread else []

    def _holdings(self, groups):
        found, seen = {}, {}
        for group in sorted(groups, key=lambda one: (one.mixed, -one.bytes, -one.count)):
            if group.bytes < LEAST_BYTES and group.count < LEAST:
                continue
            seen[group.kind] = seen.get(group.kind, 0) + 1
            if seen[group.kind] > GROUPS:
                continue
            holders = self._finder.find(group)
            if not holders:
                port = group.detail.get('port', group.detail.get('remote_port'))
                name = '%s port %s' % (group.kind.partition('_')[0], '?' if port is None else port)
                self._merge(found, (group.kind, ('port', port)), group, owner('port', name))
            elif group.mixed:
                self._share(found, group, holders)
            else:
                process = max(sorted(holders, key=lambda one: one.started), key=lambda one: len(holders[one]))
                self._merge(found, (group.kind, self.host.key_of(process)), group, self.host.later(process))
        return found

    def _share(self, found, group, holders):
        """Each process has those sockets of the group that were found as its own; also the files that wait in their queues."""
        for process, places in holders.items():
            part = _Group(group.kind, group.detail)
            part.count = len(places) * group.count // len(group.inodes)
            part.bytes = sum(group.inodes[inode] for inode in places.values())
            self._merge(found, (group.kind, self.host.key_of(process)), part, self.host.later(process))
            files = sum(_files_in_flight(process, number) for number in places)
            if files >= LEAST:
                key = ('file_in_flight', self.host.key_of(process))
                found[key] = Holding('file_in_flight', self.host.later(process), files)

    @staticmethod
    def _merge(found, key, group, holder):
        """One owner may hold groups of several ports: the detail is that of the largest, which comes first."""
        one = found.get(key)
        if one is None:
            queue = group.kind not in ('tcp_close_wait', 'tcp_time_wait')
            found[key] = Holding(group.kind, holder, group.count, group.bytes if queue else None, group.detail)
        else:
            one.count += group.count
            if one.bytes is not None:
                one.bytes += group.bytes


def _files_in_flight(process, number):
    """Return how many descriptors wait in the queue of a unix socket (Linux 5.6)."""
    match = re.search(r'^scm_fds:\s*(\d+)', procfs.read_text('%s/fdinfo/%d' % (process.place, number)), re.MULTILINE)
    return int(match.group(1)) if match else 0


def _tcp_kinds(sockets, listening):
    """Yield (kind, port, socket, bytes) of TCP sockets; the port is that which listens here, else the other end's."""
    for one in sockets:
        place = ('port', one.port) if one.port in listening else ('remote_port', one.remote_port)
        if one.state == sock_diag.TIME_WAIT and one.remote_port in listening:
            place = ('port', one.remote_port)  # both ends are on this host
        if one.state == sock_diag.TIME_WAIT:
            yield 'tcp_time_wait', place, one, 0
        if one.state == sock_diag.CLOSE_WAIT:
            yield 'tcp_close_wait', place, one, 0
        if one.unread and one.state != sock_diag.LISTEN:
            yield 'tcp_unread', place, one, one.unread
        if one.unsent and one.state != sock_diag.LISTEN:
            yield 'tcp_unsent', place, one, one.unsent


def _grouped(kinds):
    """Return Groups of (kind, what tells one group from another, socket, bytes). A pair is a name and a number for the detail."""
    groups = {}
    for kind, place, one, taken in kinds:
        if (kind, place) not in groups:
            groups[kind, place] = _Group(kind, {place[0]: place[1]} if isinstance(place, tuple) else {})
        groups[kind, place].add(one, taken)
    return list(groups.values())
