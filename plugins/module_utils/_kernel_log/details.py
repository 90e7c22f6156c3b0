# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says beside its header: where it happened, and what an operator of that kind of trouble asks first.

Every name that a regex captures becomes a field: numbers as int, sizes in bytes. The first line that tells a field wins.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import xids

MAX_TASKS = 5
MAX_ITEMS = 8
MAX_MODULES = 16
TEXT_CHARS = 160

_NUMBERS = frozenset((
    'cpu', 'pid', 'order', 'victim_pid', 'victim_score', 'failures', 'ram_pages', 'free_pages', 'slab_unreclaimable_pages', 'stalled_s',
    'waited_s', 'stuck_s', 'xid', 'chosen_pid', 'took_ns', 'hogged_us', 'times', 'alive', 'owner_pid', 'detected_by', 'waited_jiffies',
    'starved_jiffies', 'bank', 'errors', 'sector', 'block', 'inode',
    'queue', 'waited_ms', 'references', 'port', 'limit', 'events', 'access_bytes', 'line', 'irq'))


def _fields(*expressions):
    return tuple(re.compile(expression) for expression in expressions)


_STUCK = _fields(r'CPU#(?P<cpu>\d+) stuck for (?P<stuck_s>\d+)s! \[(?P<task>.{1,64}):(?P<pid>\d+)\]',
                 r'LOCKUP on (?:other CPUs |cpu ?)(?P<cpu>\d+)', r'LOCKUP on CPU(?P<cpu>\d+)',
                 r'pool cpus=(?P<cpus>\S{1,32}) .{0,80}stuck for (?P<stuck_s>\d+)s')
_MEMORY = (r'\bfree:(?P<free_pages>\d+) slab_reclaimable', r'slab_unreclaimable:(?P<slab_unreclaimable_pages>\d+)(?:\s|$)',
           r'(?P<ram_pages>\d+) pages RAM', r'Free swap  = (?P<free_swap_kb>\d+)kB', r'Total swap = (?P<total_swap_kb>\d+)kB')
_DISK = _fields(r'(?:critical (?P<error>[\w ]{1,40}) )?error, dev (?P<device>[^\s,]{1,64}), (?:sector|lba) (?P<sector>\d+)',
                r' op 0x[0-9a-f]+:\((?P<operation>\w{1,32})\)', r'^sd (?P<device>\d+:\d+:\d+:\d+): (?!\[)',
                r'error on dev(?:ice)? (?P<device>[^\s,]{1,64})',
                r', logical block (?P<block>\d+)', r'(?P<device>ata\d+(?:\.\d+)?): exception', r'sd \S+ \[(?P<device>\w+)\]',
                r'nvme (?P<device>nvme\d+):', r'QID (?P<queue>\d+)', r'block (?P<device>\S{1,64}): no available path')
_ACCESS = _fields(r'(?P<access>Read|Write) of size (?P<access_bytes>\d+) at addr', r'belongs to the cache (?P<cache>\S{1,64}) of',
                  r'^\s*(?P<access>read|write)(?:-\w+)? to 0x', r'^BUG: \w+: (?P<error>[\w-]{1,40})(?: (?P<access>read|write) in )?',
                  r'^kfence-#\d+: \S{1,64}, size=\d+, cache=(?P<cache>\S{1,64})',
                  r'unreferenced object 0x[0-9a-f]+ \(size (?P<access_bytes>\d+)\)')
_FAULT = _fields(r'(?:address:?|at virtual address|paging request at|dereference at) (?:0x)?(?P<address>[0-9a-f]{1,16})\b',
                 r'#PF: \w+ (?P<access>[\w ]{1,24}) access')

_OF_KIND = {
    'oom': _fields(r'^(?P<asked_by>.{1,15}) invoked oom-killer: gfp_mask=(?P<gfp_mask>[^,]{1,160}),', r'\border=(?P<order>-?\d+)',
                   r'constraint=CONSTRAINT_(?P<constraint>\w{1,24})', r'oom_memcg=(?P<memory_cgroup>[^,]{1,160})',
                   r'task_memcg=(?P<victim_cgroup>[^,]{1,160})',
                   r'Task in (?P<victim_cgroup>\S{1,160}) killed as a result of limit of (?P<memory_cgroup>\S{1,160})',
                   r'memory: usage (?P<usage_kb>\d+)kB, limit (?P<limit_kb>\d+)kB, failcnt (?P<failures>\d+)',
                   r'Kill process (?P<chosen_pid>\d+),? \((?P<chosen>.{1,64}?)\)',
                   r'Killed process (?P<victim_pid>\d+),? \((?P<victim>.{1,64}?)\)', r',task=(?P<chosen>.{1,64}?),pid=(?P<chosen_pid>\d+)',
                   r'total-vm:(?P<victim_total_vm_kb>\d+)kB',
                   r'anon-rss:(?P<victim_anon_rss_kb>\d+)kB', r'file-rss:(?P<victim_file_rss_kb>\d+)kB',
                   r'shmem-rss:(?P<victim_shmem_rss_kb>\d+)kB', r'oom_score_adj:(?P<victim_score>-?\d+)', *_MEMORY),
    'page_alloc_failure': _fields(r'^(?P<asked_by>.{1,15}): page allocation', r'\border:(?P<order>\d+)',
                                  r'\bmode:(?P<gfp_mask>[^,\s]{1,160})', r'stalls for (?P<waited_ms>\d+)ms', *_MEMORY),
    'hung_task': _fields(r'thread pid (?P<pid>\d+) was inactive for (?P<waited_s>\d+)',
                         r'task (?P<task>.{1,64}):(?P<pid>\d+) .{0,60}more than (?P<waited_s>\d+) seconds',
                         r'blocked on an? (?P<lock>[\w-]{1,32}),? .{0,40}owned by task (?P<owner>.{1,64}):(?P<owner_pid>\d+)'),
    'soft_lockup': _STUCK, 'hard_lockup': _STUCK, 'workqueue_lockup': _STUCK,
    'rcu_stall': _fields(r'detected by (?P<detected_by>\d+), t=(?P<waited_jiffies>\d+)', r'\(t=(?P<waited_jiffies>\d+) jiffies',
                         r'starved for (?P<starved_jiffies>\d+) jiffies'),
    'mce': _fields(r'CPU:? ?(?P<cpu>\d+): Machine Check.{0,40} Bank (?P<bank>\d+): (?P<status>[0-9a-f]{1,16})',
                   r'\bADDR (?P<address>[0-9a-f]{1,16})', r'event severity: (?P<severity>[\w-]{1,32})',
                   r'section_type: (?P<section>[\w ,/-]{1,64})', r'physical_address: 0x(?P<address>[0-9a-f]{1,16})',
                   r'DIMM location: (?P<dimm>[\w ,:#/-]{1,64})',
                   r'Memory failure: 0x(?P<page_frame>[0-9a-f]{1,16}): recovery action for (?P<page>.{1,64}): (?P<recovery>\w{1,16})',
                   r'MC(?P<bank>\d+)_STATUS\S{0,80}: 0x(?P<status>[0-9a-f]{1,16})'),
    'edac': _fields(r'EDAC (?P<controller>[\w-]{1,32}): (?:(?P<errors>\d+) )?(?P<severity>CE|UE) ',
                    r' on (?P<dimm>[^\s(]{1,80}(?: [^\s(]{1,32})?)(?: \(|$)'),
    'pcie_aer': _fields(r'AER: (?:Multiple )?(?P<severity>(?:Unc|C)orrect\w+(?: \([\w-]+\))?)',
                        r'(?:received|[Ee]rror message.{0,24}?)(?:: | from )(?P<device>[0-9a-f]{4}:[0-9a-f:.]{7,16})',
                        r'(?P<device>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.\d): AER'),
    'io_error': _DISK, 'nvme_error': _DISK,
    'md_failed': _fields(r'md/(?P<level>raid\d{0,2}):?(?P<array>md[\w-]{0,32}|[\w-]{1,32}): ', r'Disk failure on (?P<device>[\w-]{1,64})',
                         r'for block (?P<block>\d+)', r'\(sector (?P<sector>\d+)'),
    'gpu_error': _fields(r'Xid \(PCI:(?P<device>[0-9a-fA-F:.]{4,20})\): (?P<xid>\d+)', r'pid=\'?(?P<pid>\d+)',
                         r'name=(?P<command>[^,<>]{1,32})',
                         r'GPU (?P<device>[0-9a-fA-F]{4,8}:[0-9a-fA-F:.]{5,12})',
                         r'^(?P<driver>[\w-]{1,32}) (?P<device>[0-9a-f]{4}:[0-9a-f:.]{7}): ',
                         r'ring (?P<ring>\S{1,32}) timeout', r'GPU HANG: ecode (?P<code>[0-9a-f:]{1,32})',
                         r', in (?P<command>\S{1,32}) \[(?P<pid>\d+)\]',
                         r' in (?P<command>\S{1,32}) \[(?P<pid>\d+)\]'),
    'storage_path': _fields(r'^(?P<session>session\d+):', r'multipath: (?P<device>\S{1,32}): Failing path (?P<path>[\d:]{1,16})',
                            r'(?P<path>rport-\S{1,32}): blocked', r'timed out after (?P<waited_s>\d+) secs',
                            r'^(?:block )?drbd (?P<device>\S{1,64}) ',
                            r'block (?P<device>nbd\d+):'),
    'storage_full': _fields(r'thin: (?P<device>\S{1,32}): switching pool to (?P<mode>.{1,48}) mode'),
    'storage_low': _fields(r'thin: (?P<device>\S{1,32}): .{1,40} for (?P<part>\w{1,16}) device'),
    'hba_reset': _fields(r'^(?P<device>mpt\S{1,32}):', r'^(?P<driver>[\w-]{1,32}) (?P<device>[0-9a-f]{4}:[0-9a-f:.]{7}): ',
                         r'^(?P<driver>aacraid):',
                         r'fault_state\((?P<code>0x[0-9a-f]{1,8})\)', r'[Ff]ault code:(?P<code>0x[0-9a-f]{1,8})',
                         r'detected: (?P<code>0x[0-9a-f]{1,8})'),
    'firmware_crash': _fields(r'^(?P<driver>[\w-]{1,32}) (?P<device>[0-9a-f]{4}:[0-9a-f:.]{7})', r'Fatal error (?P<code>\d{1,8})',
                              r'Restarting (?P<code>0x[0-9A-Fa-f]{1,8})'),
    'link_flap': _fields(r'^(?P<driver>[\w-]{1,32}) [0-9a-f]{4}:[0-9a-f:.]{7}',
                         r'(?:^|[ :])(?P<device>[\w.@-]{1,16}):? (?:NIC )?[Ll]ink (?:is )?[Dd]own'),
    'usb_over_current': _fields(r'^(?:usb|hub) (?P<device>\S{1,32}):'),
    'hypervisor_timeout': _fields(r'connecting to device: (?P<device>\S{1,64})', r'backend (?P<device>\S{1,64}) timed',
                                  r'on queue: (?P<queue>\d+)',
                                  r'^virtio_net \S+ (?P<device>\S{1,16}?):'),
    'thermal_shutdown': _fields(r'^thermal (?P<zone>[\w-]{1,32}):', r'reached \((?P<temperature>\d+) C\)',
                                r'(?P<sensor>[\w.-]{1,32}): critical temp'),
    'slow_interrupt': _fields(r'took (?P<took_ns>\d+) ns'),
    'work_hogs_cpu': _fields(r'workqueue: (?P<function>[\w.]{1,64}).{0,66} hogged CPU for >(?P<hogged_us>\d+)us (?P<times>\d+) times'),
    'split_lock': _fields(r'#\w\w: (?P<command>.{1,32})/(?P<pid>\d+) ', r'at address: (?P<address>0x[0-9a-f]{1,16})'),
    'pids_limit': _fields(r'controller in (?P<cgroup>\S{1,160})'),
    'md_degraded': _fields(r'md/(?P<level>raid\d{0,2}):?(?P<array>md[\w-]{0,32}|[\w-]{1,32}): Disk failure on (?P<device>[\w-]{1,64})'),
    'fs_error': _fields(r'(?P<file_system>EXT[234])-fs (?:error )?\((?:device )?(?P<device>[^\s)]{1,64})\)(?:: (?P<function>\w{1,64}):)?',
                        r'inode #(?P<inode>\d+)', r'(?P<file_system>XFS) \((?P<device>[^\s)]{1,64})\)',
                        r'(?P<file_system>BTRFS):? \w+ \(device (?P<device>[^\s):]{1,64})',
                        r'\((?P<device>\S{1,64})\): .{0,160}potential data',
                        r'Aborting journal on device (?P<device>\S{1,64}?)\.?$'),
    'fs_readonly': _fields(r'(?P<file_system>BTRFS):? \w+ \(device (?P<device>[^\s):]{1,64})',
                           r'(?P<file_system>[A-Za-z0-9]{2,12})(?:-fs)? \((?P<device>[^\s)]{1,64})\)'),
    'segfault': _fields(r'^(?P<program>.{1,15})\[(?P<pid>\d+)\]', r'segfault at (?P<address>[0-9a-f]{1,16})',
                        r'\bip[: ](?P<ip>[0-9a-f]{1,16})', r'\berror[: ](?P<error>[0-9a-f]{1,8})', r' in (?P<object>[^\[\s]{1,64})\['),
    'netdev_watchdog': _fields(r'WATCHDOG: (?P<device>\S{1,32}) \((?P<driver>[\w-]{1,32})\)',
                               r'^(?P<driver>[\w-]{1,32}) \S{1,32} (?P<device>\S{1,16}?):? NETDEV',
                               r'transmit queue (?P<queue>\d+):? timed out(?: (?P<waited_ms>\d+) ms)?',
                               r'^(?P<driver>[\w-]{1,32}) \S{1,32} (?P<device>[\w.@-]{1,16})(?: \(\w+\))?: '
                               r'(?:Detected|TX timeout|tx_timeout|initiating)'),
    'netdev_unregister': _fields(r'waiting for (?P<device>\S{1,32}) to become free. Usage count = (?P<references>-?\d+)'),
    'nf_conntrack_full': _fields(r'(?P<table>\w{2,4}_conntrack): table full'),
    'neigh_table_full': _fields(r'neighbour: (?P<table>\w{1,32}):'),
    'file_table_full': _fields(r'limit (?P<limit>\d+) reached'),
    'audit_backlog': _fields(r'audit_backlog=\d+ > audit_backlog_limit=(?P<limit>\d+)'),
    'syn_flood': _fields(r'flooding on port (?:\S{0,64}:)?(?P<port>\d+)'),
    'nfs_state_lost': _fields(r'NFSv4 server (?P<server>\S{1,128})', r'open file (?P<file>.{1,160}?), error = '),
    'nfs_not_responding': _fields(r'server (?P<server>\S{1,128}) not responding',
                                  r'(?P<server>\\\\[^\\\s]{1,128}).{0,80} has not responded in (?P<waited_s>\d+)',
                                  r'(?P<server>mds\d+) ', r'Connection to (?P<server>\S{1,80})', r'evicted by (?P<server>[^\s;]{1,80})'),
    'thermal': _fields(r'CPU(?P<cpu>\d+): (?P<sensor>Core|Package)', r'total events = (?P<events>\d+)'),
    'clock_unstable': _fields(r"clocksource '?(?P<clocksource>[\w-]{1,32})'? (?:as )?unstable"),
    'iommu_fault': _fields(r'Request device \[(?P<device>[^\]\s]{1,16})', r'fault addr (?:0x)?(?P<address>[0-9a-f]{1,16})',
                           r'(?P<device>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.\d): AMD-Vi', r'address=(?:0x)?(?P<address>[0-9a-f]{1,16})'),
    'irq_nobody_cared': _fields(r'irq (?P<irq>\d+):'),
    'vfs': _fields(r'Busy inodes after unmount of (?P<device>\S{1,64}?)\.? '),
    'kasan': _ACCESS, 'kfence': _ACCESS, 'kmsan': _ACCESS, 'kcsan': _ACCESS, 'kmemleak': _ACCESS,
    'oops_page_fault': _FAULT, 'gpf': _FAULT,
    'kernel_bug': _fields(r'BUG at (?P<file>\S{1,160}):(?P<line>\d+)'),
    'warning': _fields(r'^WARNING: (?:\[.{1,300}\] )?(?P<file>\S{1,160}\.[chS]):(?P<line>\d+) at ',
                       r' at (?P<file>\S{1,160}\.[chS]):(?P<line>\d+)'),
    'ubsan': _fields(r'UBSAN: (?P<error>[\w-]{1,40}) in (?P<file>\S{1,160}?):(?P<line>\d+)'),
    'slab_corruption': _fields(r'BUG (?P<cache>\S{1,64}) .{0,100}\): (?P<error>[\w -]{1,64})'),
    'bug_mm': _fields(r'in process (?P<task>.{1,15})  pfn:', r'type:(?P<counter>\w{1,32}) val'),
}

# The header's own field that decides whether the hardware could correct the error.
_CORRECTED = {'CE': True, 'UE': False, 'Corrected': True, 'Correctable': True, 'corrected': True, 'recoverable': False, 'fatal': False}
_LARGEST = 1 << 43  # times 1024 it is still exact as a double
_STATUS_UNCORRECTED = 1 << 61  # of a bank's status, on Intel's and AMD's processors

_TAINT = r'(Not tainted|Tainted: [A-Z ]{1,40})[ -]{0,40} \(?(\d\S{0,63}) #\d'
# Debian's kernels name the stable release that they are made of behind their own.
_DEBIAN = re.compile(r' #\d\S{0,32} (?:[A-Z_()a-z]{2,24} ){0,4}Debian (\d{1,2}\.\d{1,3}\.\d{1,4})-')
_TASK = re.compile(r'CPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (.{1,20}?) (?:Kdump: loaded )?' + _TAINT)
_OLD_TASK = re.compile(r'Pid: (\d+), comm: (.{1,20}?) ' + _TAINT)
_HEADER_TASK = re.compile(r'(?:WARNING|NETDEV WATCHDOG): CPU: (\d+) PID: (\d+) at ')
_ON_CPU = re.compile(r' CPU#(\d+): (.{1,20})/(\d+)$')
_HARDWARE = re.compile(r'Hardware name: (.{0,200})')
_LINKED = re.compile(r'Modules linked in: (.*)')
_MARKED = re.compile(r'([\w-]{1,64})\([A-Z+-]{1,8}\)')
_IN_MODULE = re.compile(r'\+0x[0-9a-f]+/0x[0-9a-f]+ \[([\w-]{1,64})')
_OOM_TASK = re.compile(r'\[ *(\d+)\] +\d+ +\d+ +\d+ +(\d+) .{1,160} -?\d+ (\S.{0,31})$')
_ZONE = re.compile(r'Node (\d+) (\w{1,16}) free:(\d+)kB (?:boost:\d+kB )?min:(\d+)kB')
_STALLED_CPU = re.compile(r'(?:rcu: )?\s*(\d+)-[\w.!?]{3,5}: \(')
_STALLED_CPUS = re.compile(r'on CPUs/tasks: \{ ?([^}]{1,200})\}')
_CPU = re.compile(r'(?<![\w-])(\d+)(?![\w])')
_LOOKED_AT = re.compile(r'(?:NMI backtrace for cpu|Task dump for CPU) (\d+)')
_LOCK = re.compile(r'\(([^()]{1,80}(?:\([^()]{0,40}\)[^()]{0,40})?)\)\{[^}]{1,16}\}.{0,16} at: (?:\[<[0-9a-fx]+>\] )?([\w.]{1,80})')
_SCHEDULING = re.compile(r'(?:__|io_|preempt_|__preempt_)?schedule\w*|context_switch|__?switch_to\w*')


class Details:
    """Reads a report's lines, one at a time."""

    def __init__(self, kind, header, caller):
        self._kind = kind
        self._patterns = list(_OF_KIND.get(kind, ()))
        self._found = {}
        self._context = {}
        self._modules = []
        self._tasks = []
        self._zones = []
        self._locks = []
        self._stalled = []
        self._looked_at = []
        if caller:
            self._context['pid' if caller[0] == 'T' else 'cpu'] = _number(caller[1:])
        self.line(header)

    def line(self, text):
        """Read one line of the report (str, as the kernel printed it)."""
        for pattern in self._patterns:
            found = pattern.search(text)
            if found:
                for name, value in found.groupdict().items():
                    if value is not None:
                        self._found.setdefault(name, value.strip())
        self._read_context(text)
        if self._kind in ('oom', 'page_alloc_failure'):
            self._read_memory(text)
        elif self._kind == 'rcu_stall':
            stalled = _STALLED_CPU.match(text)
            if stalled:
                _append(self._stalled, _number(stalled.group(1)))
            together = _STALLED_CPUS.search(text)
            for number in _CPU.findall(together.group(1)) if together else ():
                _append(self._stalled, _number(number))
            looked_at = _LOOKED_AT.search(text)
            if looked_at:
                _append(self._looked_at, _number(looked_at.group(1)))
        elif self._kind == 'lockdep' and ' at: ' in text:
            lock = _LOCK.search(text)
            if lock:
                _append(self._locks, '%s at %s' % (lock.group(1), lock.group(2).split('.')[0]))

    def become(self, kind):
        """Read what follows as a report of this kind; what was found of the old one does not count any more."""
        self._kind, self._found = kind, {}
        self._patterns = list(_OF_KIND.get(kind, ()))

    def _read_context(self, text):
        context = self._context
        if 'omm: ' in text:
            task = _TASK.search(text)
            if task:
                self._identify(text, task.group(2), task.group(3), task.group(4), task.group(5), task.group(1))
            else:
                task = _OLD_TASK.search(text)
                if task:
                    self._identify(text, task.group(1), task.group(2), task.group(3), task.group(4))
        elif 'Hardware name: ' in text:
            context.setdefault('hardware', _HARDWARE.search(text).group(1).strip())
        elif 'Modules linked in: ' in text:
            for name in _MARKED.findall(_LINKED.search(text).group(1)):
                _append(self._modules, name, MAX_MODULES)
        elif 'CPU' in text:
            header = _HEADER_TASK.search(text)
            if header:
                context.update(cpu=_number(header.group(1)), pid=_number(header.group(2)))
            on_cpu = _ON_CPU.search(text)
            if on_cpu:
                context.update(cpu=_number(on_cpu.group(1)), command=on_cpu.group(2), pid=_number(on_cpu.group(3)))
        if ' [' in text:
            inside = _IN_MODULE.search(text)
            if inside:
                _append(self._modules, inside.group(1), MAX_MODULES)

    def _identify(self, text, pid, command, taint, release, cpu=None):
        """The task that was running. A report about other CPUs names several, its own comes first."""
        context = self._context
        if 'command' in context and 'taint' in context:
            return
        context.update(pid=_number(pid), command=command.strip())
        if cpu is not None:
            context['cpu'] = _number(cpu)
        context['taint'] = [letter for letter in taint.partition(': ')[2] if letter.isalpha() and letter != 'G'][:MAX_MODULES]
        context['kernel'] = release
        debian = _DEBIAN.search(text)
        if debian:
            context['upstream'] = debian.group(1)

    def _read_memory(self, text):
        task = _OOM_TASK.search(text) if self._kind == 'oom' else None
        if task:
            self._tasks.append((_number(task.group(2)), _number(task.group(1)), task.group(3)))
            self._tasks.sort(reverse=True)
            del self._tasks[MAX_TASKS:]
            return
        zone = _ZONE.search(text)
        if zone and len(self._zones) < MAX_ITEMS:
            self._zones.append({'zone': '%s %s' % zone.group(1, 2), 'free_bytes': _number(zone.group(3)) * 1024,
                                'min_bytes': _number(zone.group(4)) * 1024})

    def context(self):
        """Where it happened: dict with those of cpu, pid, command, taint, kernel, upstream, hardware, modules that the report tells."""
        result = {name: printable(value, TEXT_CHARS) if isinstance(value, str) else value for name, value in self._context.items()}
        if self._modules:
            result['modules'] = self._modules
        return result

    def result(self, trace):
        """Return the details of this kind, a dict.

        trace: the report's functions, innermost first.
        """
        result, found = {}, self._found
        if 'chosen' in found:  # before 5.0 the kernel names the chosen process, and kills one of its children
            found = dict(found)
            chosen, pid = found.pop('chosen'), found.pop('chosen_pid')
            if 'victim' not in found:
                found.update(victim=chosen, victim_pid=pid)
        for name, value in found.items():
            if name.endswith('_kb'):
                result[name[:-3] + '_bytes'] = _number(value) * 1024
            elif name in _NUMBERS:
                result[name] = _number(value)
            else:
                result[name] = printable(value, TEXT_CHARS)
        tasks = [{'command': printable(command, 32), 'pid': pid, 'rss_pages': rss} for rss, pid, command in self._tasks]
        for name, items in (('largest_tasks', tasks),
                            ('zones', self._zones), ('locks', [printable(lock, TEXT_CHARS) for lock in self._locks]),
                            ('stalled_cpus', self._stalled), ('looked_at_cpus', self._looked_at)):
            if items:
                result[name] = items
        if self._kind == 'hung_task':
            waits_for = next((name for name in trace if not _SCHEDULING.match(name)), None)
            if waits_for:
                result['waits_for'] = waits_for
        if 'xid' in result and result['xid'] in xids.MEANINGS:
            result['meaning'] = xids.MEANINGS[result['xid']]
        corrected = _corrected(result)
        if corrected is not None and self._kind in ('mce', 'edac', 'pcie_aer'):
            result['corrected'] = corrected
        return result


def _corrected(fields):
    """True or False as the report tells it, None where it does not."""
    if 'recovery' in fields:
        return False  # the page's content is lost, whatever became of its users
    if 'severity' in fields:
        return _CORRECTED.get(fields['severity'].split(' ')[0], False if fields['severity'].startswith('Uncorrect') else None)
    return not int(fields['status'], 16) & _STATUS_UNCORRECTED if 'status' in fields else None


def _number(text):
    """An int of a text of digits. Sizes in bytes stay exact in every reader of JSON; what is larger counts nothing."""
    return max(-_LARGEST, min(_LARGEST, int(text[:20])))


def _append(items, item, most=MAX_ITEMS):
    if item not in items and len(items) < most:
        items.append(item)
