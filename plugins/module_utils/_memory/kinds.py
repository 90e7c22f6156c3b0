# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of things that hold memory: one table for the probe, the policy, the schema and the documentation.

one, many: what it is called. objects: slab caches of which each thing takes an object; they say what it costs where nothing else does.
command: the shell command that lists what the owner holds; {pid}, {name}, {uid}, {path}, {port} are the owner's.
remedy: what an operator does about it.
"""

import collections
import shlex

Kind = collections.namedtuple('Kind', 'kind one many objects command remedy')

_FIX = 'The program opens them and does not close them. Fix or update it; a restart of the program gives the memory back.'
_READ = (
    'Data arrive and the program does not read them. See whether it hangs (its stack in /proc/PID/stack); restart or fix it, '
    'or limit its receive buffer.'
)
_REAP = 'The parent does not wait for its children (wait(2)). Fix or restart the parent; the kernel then removes them.'
_MEMORY = 'It is memory of the program itself. See whether its work explains it; limit it (MemoryMax of its unit), fix or restart it.'
_REMOVE = 'Something makes them and does not remove them. Remove those that nobody needs, and fix or update what makes them.'
_BPF = 'Remove maps and programs that nobody needs (bpftool), make maps smaller, or fix the program that loads them.'
_CACHE = 'The kernel gives it back when memory is needed. No action, unless the cgroup is at its limit.'
_LIMIT = 'The traffic needs them. Compare with the limit, and shorten timeouts or remove what makes them.'

_FILE = ('filp',)
_SOCKET = ('filp', 'sock_inode_cache', 'dentry')

_LS = 'ls -l /proc/{pid}/fd'
_STATUS = 'cat /proc/{pid}/status'
_SS = 'ss -anpem'
_IPCS = 'ipcs -a -c'


def _file(kind, one, many, objects=(), remedy=_FIX):
    return kind, one, many, _FILE + objects, _LS, remedy


KINDS = tuple(Kind(*row) for row in (
    # descriptors of processes
    ('socket', 'socket', 'sockets', _SOCKET, _LS + '; ' + _SS, _FIX),
    _file('pipe', 'end of a pipe', 'ends of pipes'),
    _file('file', 'open file', 'open files'),
    _file('device', 'open device file', 'open device files'),
    _file('eventfd', 'eventfd', 'eventfds'),
    _file('epoll', 'epoll instance', 'epoll instances'),
    _file('inotify', 'inotify instance', 'inotify instances'),
    _file('timerfd', 'timerfd', 'timerfds'),
    _file('signalfd', 'signalfd', 'signalfds'),
    _file('fanotify', 'fanotify group', 'fanotify groups'),
    _file('pidfd', 'pidfd', 'pidfds'),
    _file('io_uring', 'io_uring instance', 'io_uring instances'),
    _file('perf_event', 'perf event', 'perf events', ('perf_event',)),
    _file('pty', 'pseudoterminal', 'pseudoterminals'),
    _file('memfd', 'memfd', 'memfds', ('shmem_inode_cache', 'dentry')),
    _file('anon_inode', 'anonymous inode', 'anonymous inodes'),
    ('file_in_flight', 'file in flight', 'files in flight', _FILE, _SS + 'x',
     'Descriptors were sent over a unix socket and nobody receives them. Fix or restart the program that should receive.'),
    ('inotify_watch', 'inotify watch', 'inotify watches', ('inotify_inode_mark',), 'grep -c ^inotify /proc/{pid}/fdinfo/*',
     'The program watches ever more files. Fix or restart it, or let it watch fewer folders.'),
    # processes
    ('thread', 'thread', 'threads', (), 'ls /proc/{pid}/task | wc -l',
     'The program starts threads that do not end. Fix or restart it; limit it with TasksMax of its unit.'),
    ('zombie', 'zombie', 'zombies', ('task_struct', 'signal_cache', 'pid', 'cred'), 'ps --ppid {pid} -o pid,stat,comm', _REAP),
    ('process', 'child process', 'child processes', (), 'ps --ppid {pid} -o pid,stat,comm',
     'The program starts processes that do not end. Fix or restart it; limit it with TasksMax of its unit.'),
    ('posix_timer', 'POSIX timer', 'POSIX timers', ('posix_timers_cache',), 'grep -c ^ID /proc/{pid}/timers',
     'The program makes timers (timer_create) and does not delete them. Fix or update it; a restart gives the memory back.'),
    ('pending_signal', 'queued signal', 'queued signals', ('sigqueue',), _STATUS,
     'Signals are queued for a process that blocks them and does not take them. Fix or restart it.'),
    ('file_lock', 'file lock', 'file locks', ('file_lock_cache',), 'grep -w {pid} /proc/locks',
     'The program takes locks and does not give them back. Fix or restart it.'),
    ('aio_context', 'AIO context', 'AIO contexts', ('kioctx',), 'grep -c aio /proc/{pid}/maps',
     'The program makes contexts (io_setup) and does not destroy them. Fix or restart it.'),
    ('anonymous_memory', 'anonymous memory', 'anonymous memory', (), _STATUS, _MEMORY),
    ('shared_memory', 'mapped shared memory', 'mapped shared memory', (), _STATUS, _MEMORY),
    ('locked_memory', 'locked memory', 'locked memory', (), _STATUS, _MEMORY),
    ('huge_page', 'huge pages', 'huge pages', (), _STATUS, _MEMORY),
    ('page_table', 'page tables', 'page tables', (), _STATUS,
     'The program maps much memory in small pages, or many processes map the same. Use huge pages, map less, or restart it.'),
    ('mapping', 'memory mapping', 'memory mappings', ('vm_area_struct',), 'wc -l /proc/{pid}/maps',
     'The program maps memory and does not unmap it. Fix or restart it.'),
    # sockets and their queues
    ('tcp_unread', 'unread TCP data', 'unread TCP data', (), _SS + 't', _READ),
    ('tcp_unsent', 'unsent TCP data', 'unsent TCP data', (), _SS + 't',
     'The other ends read more slowly than the program writes, or not at all. Let the program close such connections, or limit its send '
     'buffers.'),
    ('tcp_close_wait', 'connection in CLOSE_WAIT', 'connections in CLOSE_WAIT', _SOCKET + ('TCP',), _SS + 't state close-wait',
     'The other ends closed and the program did not. Fix or restart the program.'),
    ('tcp_time_wait', 'connection in TIME_WAIT', 'connections in TIME_WAIT', ('tw_sock_TCP',), 'ss -tan state time-wait',
     'Each request makes a new connection. They end after 60 s; keep connections open (keep-alive, pools) where ports or memory run out.'),
    ('udp_unread', 'unread UDP data', 'unread UDP data', (), _SS + 'u', _READ),
    ('unix_unread', 'unread data of unix sockets', 'unread data of unix sockets', (), _SS + 'x', _READ),
    ('netlink_unread', 'unread netlink data', 'unread netlink data', (), 'ss -f netlink -anpem', _READ),
    ('packet_unread', 'unread packets', 'unread packets', (), _SS + '0', _READ),
    ('raw_unread', 'unread raw packets', 'unread raw packets', (), _SS + 'w', _READ),
    # interprocess communication and keys
    ('sysv_shm', 'SysV shared memory segment', 'SysV shared memory segments', (), 'ipcs -m -p -c',
     'Segments outlive the programs that make them. Remove those that nobody uses (ipcrm), and fix what makes them.'),
    ('sysv_queue', 'SysV message queue', 'SysV message queues', (), 'ipcs -q -p -c',
     'Queues outlive the programs that make them, and keep messages that nobody receives. Remove them (ipcrm), and fix the receiver.'),
    ('sysv_semaphore', 'SysV semaphore set', 'SysV semaphore sets', (), _IPCS,
     'Sets outlive the programs that make them. Remove those that nobody uses (ipcrm), and fix what makes them.'),
    ('posix_queue', 'POSIX message queue', 'POSIX message queues', ('mqueue_inode_cache',), 'ls -l /dev/mqueue',
     'Queues outlive the programs that make them. Remove those that nobody uses, and fix what makes them.'),
    ('key', 'key', 'keys', ('key_jar',), 'cat /proc/key-users /proc/keys',
     'Keys are added and not revoked. Fix or restart what adds them; keys of a session end with it.'),
    # cgroups, mounts, networks, BPF, files: what is no process
    ('cgroup', 'cgroup', 'cgroups', (), 'systemd-cgls {path}', _REMOVE),
    ('dying_cgroup', 'removed cgroup that lives on', 'removed cgroups that live on', (), 'cat /sys/fs/cgroup{path}/cgroup.stat',
     'What removed cgroups allocated is still in use, mostly files in the page cache. Let services write to files that they remove, or '
     'drop the cache (sync; echo 1 > /proc/sys/vm/drop_caches) once.'),
    ('mount', 'mount', 'mounts', ('mnt_cache',), 'grep -hF {path} /proc/[1-9]*/mountinfo | sort | uniq -c | sort -n | tail', _REMOVE),
    ('tmpfs', 'file in tmpfs', 'files in tmpfs', ('shmem_inode_cache', 'dentry'), 'du -xa {path} | sort -n | tail',
     'Files in tmpfs are memory. Remove them, rotate logs, or limit the mount (size=).'),
    ('network_namespace', 'network namespace', 'network namespaces', ('net_namespace',), 'lsns -t net', _REMOVE),
    ('namespace', 'namespace', 'namespaces', (), 'lsns', _REMOVE),
    ('network_device', 'network device', 'network devices', (), 'ip -s link', _REMOVE),
    ('loop_device', 'loop device', 'loop devices', (), 'losetup -l', _REMOVE),
    ('route', 'route', 'routes', (), 'ip route show table all | wc -l', _REMOVE),
    ('neighbour', 'neighbour entry', 'neighbour entries', (), 'ip neigh | wc -l', _LIMIT),
    ('conntrack', 'tracked connection', 'tracked connections', ('nf_conntrack',), 'conntrack -S', _LIMIT),
    ('bpf_map', 'BPF map', 'BPF maps', (), 'bpftool map', _BPF),
    ('bpf_program', 'BPF program', 'BPF programs', (), 'bpftool prog', _BPF),
    ('percpu', 'per-CPU memory', 'per-CPU memory', (), 'grep Percpu /proc/meminfo', _REMOVE),
    ('dentry', 'dentry', 'dentries', ('dentry',), 'cat /proc/sys/fs/dentry-state', _CACHE),
    ('inode', 'inode', 'inodes', (), 'cat /proc/sys/fs/inode-nr', _CACHE),
    ('page_cache', 'page cache', 'page cache', (), 'grep -E "^(Cached|Dirty)" /proc/meminfo', _CACHE),
    ('huge_page_pool', 'reserved huge pages', 'reserved huge pages', (), 'grep -i huge /proc/meminfo',
     'Reserved huge pages are lost for everything else. Reserve fewer (vm.nr_hugepages) than the programs use.'),
))

BY_NAME = dict((row.kind, row) for row in KINDS)


def command(kind, owner, detail):
    """Return the command that lists what the owner holds, or None where the owner lacks what the command needs.

    detail: of the holding, with the place that a process fills. Names and paths of a host are quoted for the shell.
    """
    place = owner['cgroup'] if owner['type'] == 'cgroup' else owner['name']
    if owner['type'] == 'process':
        place = detail.get('path') or detail.get('mount') or detail.get('folder')
    values = {
        'pid': owner['pid'],
        'uid': owner['uid'],
        'path': place,
        'name': owner['name'],
        'port': owner['name'],
    }
    text = BY_NAME[kind].command
    for name, value in values.items():
        mark = '{%s}' % name
        if mark in text:
            if value is None:
                return None
            text = text.replace(mark, shlex.quote(str(value)))
    return text


# Memory of programs themselves: a heap that grows is ordinary, within a short window.
PROGRAM_MEMORY = frozenset(('anonymous_memory', 'shared_memory', 'page_table', 'mapping'))
# Pages that stay until somebody removes them, or that cannot be swapped.
LASTING_MEMORY = frozenset(('locked_memory', 'huge_page', 'huge_page_pool', 'memfd', 'tmpfs', 'sysv_shm'))
# What others put there, and the owner does not take: who allocates its memory is not who holds it.
QUEUES = frozenset((
    'tcp_unread', 'tcp_unsent', 'udp_unread', 'unix_unread', 'netlink_unread', 'packet_unread', 'raw_unread', 'pending_signal',
    'file_in_flight', 'sysv_queue', 'posix_queue', 'tcp_close_wait', 'tcp_time_wait', 'zombie'))
# What stays without any process: who is named made it, as far as that is known, and another process may do so for it.
UNHELD = frozenset((
    'route', 'neighbour', 'conntrack', 'network_device', 'loop_device', 'mount', 'cgroup', 'dying_cgroup', 'tmpfs', 'huge_page_pool',
    'sysv_shm', 'sysv_queue', 'sysv_semaphore', 'posix_queue', 'key'))
# What the kernel gives back by itself when memory is needed.
RECLAIMED = frozenset(('dentry', 'inode', 'page_cache'))
