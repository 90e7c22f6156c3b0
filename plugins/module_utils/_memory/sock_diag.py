# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of this network namespace: by sock_diag(7), else from the text files of /proc/net.

Structures: linux/inet_diag.h, unix_diag.h, netlink_diag.h, packet_diag.h, sock_diag.h. A request for a protocol whose handler is a
module that is not loaded would make the kernel load it, and it would stay: such a protocol is read as text, or not at all.
"""

import collections
import ctypes
import errno
import os
import socket
import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs

# unread, unsent: bytes of memory that data in the queues take (of text files: bytes of data); rows: what the kernel counts as queued.
Socket = collections.namedtuple('Socket', 'protocol state port remote_port uid inode unread unsent cgroup peer')

ESTABLISHED, TIME_WAIT, CLOSE_WAIT, LISTEN = 1, 6, 8, 10
ALL_STATES = 0xffffffff

_NETLINK_SOCK_DIAG, _BY_FAMILY, _DUMP, _ERROR, _DONE = 4, 20, 0x301, 2, 3
_INET_MEMORY, _INET_CGROUP = 7, 21
_UNIX_PEER, _UNIX_QUEUES, _UNIX_MEMORY, _UNIX_UID = 2, 4, 5, 7
_UNIX_SHOW = 0x4 | 0x10 | 0x20 | 0x40
_NETLINK_MEMORY, _PACKET_MEMORY = 0, 6

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_HEADER = struct.Struct('=IHHII')
_INET_REQUEST = struct.Struct('=BBBxI48x')
_INET = struct.Struct('>2xHH40x')
_INET_QUEUES = struct.Struct('=IIII')
_UNIX_REQUEST = struct.Struct('=BBHIIIII')
_SHORT_REQUEST = struct.Struct('=BBHIIII')
_ATTRIBUTE = struct.Struct('=HH')
_MEMORY = struct.Struct('=IIIIII')  # rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued

# Protocols: (name, family, protocol number, module of the handler, files of text).
INET = (
    ('tcp', socket.AF_INET, socket.IPPROTO_TCP, 'tcp_diag', 'tcp'), ('tcp', socket.AF_INET6, socket.IPPROTO_TCP, 'tcp_diag', 'tcp6'),
    ('udp', socket.AF_INET, socket.IPPROTO_UDP, 'udp_diag', 'udp'), ('udp', socket.AF_INET6, socket.IPPROTO_UDP, 'udp_diag', 'udp6'),
    ('raw', socket.AF_INET, socket.IPPROTO_RAW, 'raw_diag', 'raw'), ('raw', socket.AF_INET6, socket.IPPROTO_RAW, 'raw_diag', 'raw6'),
)


def _enter(namespace):
    if _libc.setns(namespace.fileno(), _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns')


class Missing(Exception):
    """This kernel cannot list these sockets by netlink, or could only after it loaded a module."""


class Diag:
    """Lists sockets. root: folder that is taken for the host's root; pid: of a process in the namespace to list, None: this one's."""

    def __init__(self, root='/', pid=None):
        self._proc = os.path.join(root, 'proc')
        self._net = self._proc + '/net' if pid is None else '%s/%d/net' % (self._proc, pid)
        self._namespace = None if pid is None else '%s/%d/ns/net' % (self._proc, pid)
        self._modules = None
        self._root = root

    def inet(self, name, states=ALL_STATES):
        """Return the Sockets of 'tcp', 'udp' or 'raw' whose state is in a mask (1 << state) and that have data or no more than a state."""
        found = []
        for protocol, family, number, module, text in INET:
            if protocol != name:
                continue
            try:
                found += self._inet(protocol, family, number, module, states)
            except Missing:
                found += parse_inet(procfs.read_text('%s/%s' % (self._net, text)), protocol, states)
        return found

    def _inet(self, name, family, number, module, states):
        self._require('inet_diag', module)
        request = _INET_REQUEST.pack(family, number, 1 << (_INET_MEMORY - 1), states)
        found = []
        for body, begin, end in self._dump(request):
            state = body[begin + 1]
            unread, unsent, uid, inode = _INET_QUEUES.unpack_from(body, begin + 56)
            if not unread and not unsent and state in (ESTABLISHED, 7):  # 7: TCP_CLOSE, as of UDP that is not connected
                continue
            port, remote = _INET.unpack_from(body, begin + 2)
            attributes = _attributes(body, begin + 72, end)
            memory = attributes.get(_INET_MEMORY)
            if state == LISTEN:
                unread = unsent = 0
            elif memory and len(memory) >= _MEMORY.size:
                values = _MEMORY.unpack_from(memory)
                unread, unsent = values[0] if unread else 0, max(values[2], values[5]) if unsent else 0
            cgroup = attributes.get(_INET_CGROUP)
            found.append(Socket(name, state, port, remote, uid, inode, unread, unsent,
                                struct.unpack('=Q', cgroup)[0] if cgroup and len(cgroup) == 8 else None, None))
        return found

    def unix(self):
        """Return the Sockets of AF_UNIX that have data, or a peer. Raises Missing."""
        self._require('unix_diag')
        found = []
        request = _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, ALL_STATES, 0, _UNIX_SHOW, 0, 0)
        for body, begin, end in self._dump(request):
            state, inode = body[begin + 2], struct.unpack_from('=I', body, begin + 4)[0]
            attributes = _attributes(body, begin + 16, end)
            queues = struct.unpack_from('=II', attributes.get(_UNIX_QUEUES, b'\0' * 8))
            memory = attributes.get(_UNIX_MEMORY, b'\0' * 36)
            peer, uid = (struct.unpack_from('=I', attributes.get(name, b'\0' * 4))[0] for name in (_UNIX_PEER, _UNIX_UID))
            unread = queues[0] if state != LISTEN else 0
            found.append(Socket('unix', state, 0, 0, uid if _UNIX_UID in attributes else None, inode, unread,
                                _MEMORY.unpack_from(memory)[2], None, peer or None))
        return found

    def netlink(self):
        """Return the Sockets of AF_NETLINK: port is the port id, remote_port the protocol."""
        try:
            self._require('netlink_diag')
            found = []
            for body, begin, end in self._dump(_SHORT_REQUEST.pack(socket.AF_NETLINK, 255, 0, 0, 1, 0, 0)):
                port, _peer, _group, inode = struct.unpack_from('=IIII', body, begin + 4)
                memory = _attributes(body, begin + 28, end).get(_NETLINK_MEMORY, b'\0' * 36)
                found.append(Socket('netlink', 0, port, body[begin + 2], None, inode, _MEMORY.unpack_from(memory)[0], 0, None, None))
            return found
        except Missing:
            rows = (line.split() for line in procfs.read_text(self._net + '/netlink').splitlines()[1:])
            return [Socket('netlink', 0, int(row[2]), int(row[1]), None, int(row[9]), int(row[4]), 0, None, None)
                    for row in rows if len(row) >= 10]

    def packet(self):
        """Return the Sockets of AF_PACKET."""
        try:
            self._require('af_packet_diag')
            found = []
            for body, begin, end in self._dump(_SHORT_REQUEST.pack(socket.AF_PACKET, 0, 0, 0, 0x10, 0, 0)):
                inode = struct.unpack_from('=I', body, begin + 4)[0]
                memory = _attributes(body, begin + 16, end).get(_PACKET_MEMORY, b'\0' * 36)
                found.append(Socket('packet', 0, 0, 0, None, inode, _MEMORY.unpack_from(memory)[0], 0, None, None))
            return found
        except Missing:
            rows = (line.split() for line in procfs.read_text(self._net + '/packet').splitlines()[1:])
            return [Socket('packet', 0, 0, 0, int(row[7]), int(row[8]), int(row[6]), 0, None, None) for row in rows if len(row) >= 9]

    def _require(self, *modules):
        """Raises Missing when the handler is a module that is not loaded. A kernel without /proc/modules cannot load any."""
        if self._modules is None:
            self._modules = self._present()
        if self._modules and not all(name in self._modules for name in modules):
            raise Missing()

    def _present(self):
        """Names of modules that are loaded or part of the kernel; empty where it has no modules."""
        path = self._proc + '/modules'
        if not os.path.exists(path):
            return set()
        builtin = procfs.read_text(os.path.join(self._root, 'lib/modules', os.uname().release, 'modules.builtin')).split()
        names = [os.path.basename(name).partition('.')[0].replace('-', '_') for name in builtin]
        return set(names) | set(line.split(' ', 1)[0] for line in procfs.read_text(path).splitlines()) | {'modules'}

    def _link(self):
        """Return a netlink socket. One that was made in a namespace stays there, and this process goes back."""
        def made():
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)

        if self._namespace is None:
            return made()
        with open('/proc/self/ns/net') as own, open(self._namespace) as theirs:
            _enter(theirs)
            try:
                return made()
            finally:
                _enter(own)

    def _dump(self, request):
        """Yield (bytes, begin, end) of each answer's message. Raises Missing."""
        try:
            link = self._link()
        except OSError:
            raise Missing()
        with link:
            link.settimeout(5)
            try:
                link.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 1, 0) + request)
                while True:
                    body = link.recv(262144)
                    begin = 0
                    while begin + _HEADER.size <= len(body):
                        length, kind = _HEADER.unpack_from(body, begin)[:2]
                        if kind == _DONE or length < _HEADER.size:
                            return
                        if kind == _ERROR:
                            raise Missing()
                        yield body, begin + _HEADER.size, begin + length
                        begin += (length + 3) & ~3
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, None):
                    raise Missing()


def _attributes(body, begin, end):
    found = {}
    while begin + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, begin)
        if length < 4:
            break
        found[kind & 0x3fff] = body[begin + 4:begin + length]
        begin += (length + 3) & ~3
    return found


def parse_inet(text, protocol, states=ALL_STATES):
    """Return the Sockets of a text such as /proc/net/tcp that have data or another state than established."""
    found = []
    for line in text.splitlines()[1:]:
        row = line.split()
        if len(row) < 10:
            continue
        state = int(row[3], 16)
        unsent, unread = (int(part, 16) for part in row[4].split(':'))
        if not states >> state & 1 or (not unread and not unsent and state in (ESTABLISHED, 7)):
            continue
        port, remote = (int(address.rpartition(':')[2], 16) for address in row[1:3])
        if state == LISTEN:
            unread = 0
        found.append(Socket(protocol, state, port, remote, int(row[7]), int(row[9]), unread, unsent, None, None))
    return found
