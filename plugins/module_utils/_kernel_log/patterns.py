# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first line of a kernel report looks like, one rule a form.

A rule is anchored at the start of the kernel's own text, so that a line that merely quotes a report
is silent, and it asks for the fixed words that only the kernel's format strings have.
"""

import collections
import operator
import re

# kind: of the report; needle: a literal that every match holds; regex: matched at the start of the text;
# sure: False where the words alone do not prove that the kernel wrote them; once: a single line that has no report behind it;
# part: a line that belongs to the open report of its kind where there is one
Rule = collections.namedtuple('Rule', 'kind needle regex sure once part')

SUBSYSTEM = re.compile(r'(?:(?:NMI )?watchdog|rcu|traps|mce|kernel|request_sock_TCP|NMI|kasan): (?=.)')

OOPS_KINDS = frozenset(('oops_page_fault', 'gpf', 'oops_trap', 'kernel_bug'))
STALL_KINDS = frozenset(('soft_lockup', 'hard_lockup', 'rcu_stall', 'workqueue_lockup'))

# What lockdep says behind INFO:, WARNING: or BUG:, as (needle, regex).
_LOCKDEP = (
    ('possible circular locking', 'possible circular locking'),
    ('possible recursive locking', 'possible recursive locking'),
    (' lock inversion', 'possible (?:irq|IRQ) lock inversion'),
    ('inconsistent lock state', 'inconsistent lock state'),
    ('uspicious ', '[Ss]uspicious (?:RCU|rcu_)'),
    ('held lock freed', 'held lock freed'),
    ('bad unlock balance', 'bad unlock balance'),
    ('bad contention', 'bad contention'),
    ('-unsafe', r'[\w-]{2,20}-safe -> [\w-]{2,20}-unsafe'),
    ('lock held ', 'lock held (?:when|at)'),
    ('Nested lock was not taken', 'Nested lock was not taken'),
    (' locks held', r'.{1,15}/\d+ still has locks held'),
    ('nvalid wait context', '[Ii]nvalid wait context'),
)

# A task's name: any characters, but few.
_COMM = r'.{1,15}'


# What dev_err() and netdev_err() put in front: driver, address and, of a network card, its name.
_ADDRESS = r'(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]'
_PCI = r'[\w-]{1,32} ' + _ADDRESS
_NIC = r'(?:' + _PCI + r'|[\w-]{1,32} [\w:.-]{1,32})(?: [\w.@-]{1,16}(?: \(\w+\))?)?: '
_DRM = _PCI + r': (?:amdgpu: )?(?:\[drm(?::\w+ \[\w+\])?\] )?(?:\*ERROR\* )?'
# The name of the device whose link went down.
LINK_DEVICE = re.compile(r'(?:^|[ :])([\w.@-]{1,16}):? (?:NIC )?[Ll]ink (?:is )?[Dd]own')


def _rule(kind, needle, regex, sure=True, once=False, part=False):
    return Rule(kind, needle, re.compile(regex), sure, once, part)


RULES = (
    # memory sanitizers
    _rule('kasan', 'BUG: KASAN: ', r'BUG: KASAN: '),
    _rule('kfence', 'BUG: KFENCE: ', r'BUG: KFENCE: '),
    _rule('kmsan', 'BUG: KMSAN: ', r'BUG: KMSAN: '),
    _rule('kcsan', 'BUG: KCSAN: ', r'BUG: KCSAN: '),
    _rule('ubsan', 'UBSAN: ', r'UBSAN: \S.* in \S'),
    _rule('kmemleak', 'BUG: memory leak', r'BUG: memory leak\s*$'),
    _rule('kmemleak', 'new suspected memory leaks', r'kmemleak: \d+ new suspected memory leaks', once=True),
    # a CPU that cannot go on
    _rule('gpf', 'general protection fault',
          r'(?:GPF could be caused by .{1,80}?)?(?:segment-related )?general protection fault(?:[:,] |\s).*\[#?\d+\]'),
    _rule('gpf', 'general protection fault', r'(?:Oops: )?general protection fault,? (?:probably |maybe )?for (?:non-canonical )?address '),
    _rule('oops_page_fault', 'nable to handle ', r'(?:BUG: |CPU \d+ )?[Uu]nable to handle (?:kernel|page fault|unknown|user) ?'),
    _rule('oops_page_fault', 'NULL pointer dereference', r'BUG: [Kk]ernel NULL pointer dereference'),
    _rule('oops_trap', 'PANIC: double fault', r'PANIC: double fault'),
    _rule('oops_trap', 'stack guard page was hit', r'BUG: (?:\S+ )?stack guard page was hit at '),
    _rule('oops_trap', 'Unhandled ', r'Unhandled (?:fault: |prefetch abort: |kernel unaligned access)'),
    _rule('oops_trap', 'stack space to handle', r'Insufficient stack space to handle exception!'),
    _rule('oops_trap', ' handler detected', r'Bad mode in .{1,40} handler detected'),
    _rule('oops_trap', 'SError Interrupt', r'SError Interrupt on CPU ?\d+'),
    _rule('oops_trap', 'nternal error: ', r'Internal error: .*\[#\d+\]'),
    _rule('oops_trap', 'double fault: ', r'double fault: [0-9a-f]{4} \[#?\d+\]'),
    _rule('oops_page_fault', 'Oops: ', r'Oops: (?:[0-9a-f]{4} (?:ilc:\d )?\[#?\d+\]|Kernel access of bad area)'),
    _rule('oops_trap', 'Oops', r'Oops(?::| -)? ?.{0,80}\[#\d+\]|Oops: .{1,60}, sig: \d+'),
    _rule('oops_trap', ' [#', r'[A-Za-z][\w ,()/-]{2,60}: [0-9a-f]{4,8} (?:ilc:\d )?\[#\d+\]'),
    _rule('kernel_bug', 'kernel BUG at ', r'[Kk]ernel BUG at \S+:\d+'),
    _rule('kernel_bug', 'ernel BUG [#', r'Kernel BUG \[#\d+\]'),
    # lock-ups and stalls
    _rule('soft_lockup', 'soft lockup', r'BUG: soft lockup (?:- CPU#\d+ |detected on CPU)'),
    _rule('hard_lockup', 'ard LOCKUP', r'(?:BUG: )?(?:CPU ?\d+: )?Watchdog (?:CPU:?\d+ )?detected [Hh]ard LOCKUP'),
    _rule('hard_lockup', 'ard LOCKUP', r'CPU \d+ (?:self-)?detected [Hh]ard LOCKUP'),
    _rule('hard_lockup', 'NMI Watchdog detected LOCKUP', r'(?:BUG: )?NMI Watchdog detected LOCKUP'),
    _rule('workqueue_lockup', 'workqueue lockup', r'BUG: workqueue lockup - pool'),
    _rule('rcu_stall', ' stall', r'INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls?'),
    _rule('rcu_stall', '_exit_srcu_stall: ', r'tasks_rcu_exit_srcu_stall: \w+ grace period number \d+ ', once=True),
    _rule('hung_task', ' was inactive for ', r'(?:LNet|Lustre): (?:\S{1,64}: )?(?:Service|service) thread pid \d+ was inactive for \d'),
    _rule('hung_task', 'for more than ',
          r'(?:INFO: )?task .{1,64}:\d+ (?:<\S+> )?(?:is )?blocked (?:in I/O wait |on an? [\w-]{2,20} )?for more than \d+ seconds'),
    _rule('hung_task', ' die for more than ', r'INFO: task .{1,64}:\d+ can.t die for more than \d+ seconds'),
    # locks and contexts
    _rule('atomic_sleep', 'sleeping function called', r'(?:BUG|Debug): sleeping function called from '),
    _rule('atomic_sleep', 'while atomic', r'BUG: scheduling while atomic'),
) + tuple(_rule('lockdep', needle, r'\[? ?(?:INFO|WARNING|BUG): ' + text) for needle, text in _LOCKDEP) + (
    _rule('lockdep', 'non-static key', r'INFO: trying to register non-static key'),
    _rule('lockdep', 'in preemptible', r'BUG: using [\w ]+\(\) in preemptible'),
    _rule('lockdep', 'workqueue leaked', r'BUG: workqueue leaked '),
    _rule('lockdep', 'BUG: ', r'BUG: (?:spin|rw|raw_spin)lock (?:lockup|bad magic|recursion|wrong|already|trylock|cpu|owner)'),
    # memory
    _rule('bug_mm', 'BUG: Bad ', r'BUG: Bad (?:page|rss-counter|swap|pte)'),
    _rule('bug_mm', 'BUG: non-zero ', r'BUG: non-zero (?:pgtables_bytes|nr_ptes|nr_pmds)'),
    _rule('bug_mm', 'still in use', r'BUG: Dentry .{1,200} still in use'),
    _rule('slab_corruption', 'BUG ', r'BUG [\w.:-]{1,80} ?\((?:Not tainted|Tainted: |[A-Z]).{0,80}?\): \S'),
    _rule('slab_corruption', 'BUG ',
          r'BUG [\w.:-]{1,80}: (?:Poison|(?:Left |Right )?Redzone|Object|Freelist|Free|Wrong|Invalid|Padding)', sure=False),
    _rule('slab_corruption', 'slab error in', r'slab error in \w+\(\): '),
    _rule('list_corruption', 'corruption', r'(?:slab: )?list_(?:add|del)\w* corruption'),
    _rule('oom', ' invoked oom-killer: ', _COMM + r' invoked oom-killer: '),
    _rule('oom', 'oom-kill:constraint=', r'oom-kill:constraint=CONSTRAINT_\w+,', part=True),
    _rule('oom', 'ut of memory: Kill process', r'(?:Memory cgroup out|Out) of memory: Kill process \d+', part=True),
    _rule('oom', ': Killed process ', r'(?:Memory cgroup out|Out) of memory(?: \(.{1,60}\))?: Killed process \d+', once=True, part=True),
    _rule('oom', 'ernel panic', r'Kernel panic - not syncing: Out of memory'),
    _rule('page_alloc_failure', 'page allocation ', _COMM + r': page allocation (?:failure|stalls for)'),
    # warnings
    _rule('warning', 'WARNING: CPU: ', r'WARNING: CPU: \d+ PID: -?\d+ at ?\S+(?::\d+|\+0x)'),
    _rule('warning', 'WARNING: at', r'WARNING: at ?\S+(?::\d+|\+0x)'),
    _rule('warning', ', CPU#', r'WARNING: (?:\[.{1,300}\] )?\S+:\d+ at \S+(?: \[[\w-]+\])?, CPU#\d+'),
    _rule('warning', 'WARNING: kernel stack ', r'WARNING: kernel stack (?:regs|frame pointer) '),
    _rule('warning', 'WARNING: stack recursion', r'WARNING: stack recursion '),
    _rule('warning', ' registers ', r"WARNING: can't (?:dereference|access) registers "),
    _rule('warning', 'Badness at ', r'Badness at \S+:\d+'),
    _rule('warning', 'CFI failure at ',
          r'CFI failure (?:\(target: .{1,200}?\)|at \S+(?: \[[\w-]+\])? \((?:target: |no target information))'),
    _rule('panic', 'ernel panic', r'Kernel panic - not syncing\b'),
    # hardware
    _rule('mce', 'Hardware Error',
          r'(?:\{\d+\})?\[Hardware Error\]: (?:Machine check events logged|CPU \d+: Machine Check|Hardware error from APEI)'),
    _rule('mce', 'Machine Check Exception', r'CPU ?#?\d+: Machine Check Exception(?::|\.$)'),
    _rule('mce', 'Machine check events logged', r'Machine check events logged', sure=False, once=True),
    _rule('mce', ': recovery action for ',
          r'Memory failure: 0x[0-9a-f]+: recovery action for .{1,80}: (?:Ignored|Failed|Delayed|Recovered)', once=True),
    _rule('edac', 'EDAC ', r'EDAC [\w-]+: (?:\d+ )?(?:CE|UE) ', once=True),
    _rule('pcie_aer', 'AER: ', r'(?:\S+ [0-9a-f:.]+: )?AER: (?:Multiple )?(?:Corr|Uncorr)\w* ?\(?[\w-]*\)? ?[Ee]rror', once=True),
    _rule('irq_nobody_cared', 'nobody cared', r'irq \d+: nobody cared'),
    _rule('iommu_fault', 'DMAR', r'DMAR:? ?(?:\[DMA |\[INTR-REMAP|DRHD: handling fault status)', once=True),
    _rule('iommu_fault', 'AMD-Vi: ', r'(?:\S+ [0-9a-f:.]+: )?AMD-Vi: Event logged \[', once=True),
    _rule('nmi', 'NMI received for', r'Uhhuh\. NMI received for unknown reason', once=True),
    _rule('nmi', 'PCI system error', r'PCI system error \(SERR\) for reason', once=True),
    _rule('nmi', 'IOCK error', r'IOCK error \(debug interrupt\?\) for reason', once=True),
    _rule('thermal', ' above threshold, cpu clock', r'CPU\d+: (?:Core|Package) temperature (?:is )?above threshold', once=True),
    _rule('thermal_shutdown', 'critical temperature reached',
          r'(?:[\w-]{1,32} [\w.:-]{1,32}: )?(?:[\w.-]{1,32}: )?critical temperature reached', once=True),
    _rule('clock_unstable', 'arking clocksource', r'clocksource: .{0,80}Marking clocksource .{1,40} (?:as )?unstable', once=True),
    # disks and file systems; floppy and optical drives without a medium fail in many virtual machines
    _rule('io_error', 'I/O error',
          r'(?:blk_update_request: |print_req_error: |end_request: )?(?:\w+ )?I/O error, dev (?!(?:fd|sr)\d)\S+, sector', once=True),
    _rule('io_error', ' error, dev ',
          r'(?:blk_update_request: |print_req_error: |end_request: )?critical [\w ]{1,40} error, dev \S+', once=True),
    _rule('io_error', 'Buffer I/O error on dev', r'Buffer I/O error on dev(?:ice)? (?!(?:fd|sr)\d)\S+, logical block', once=True),
    _rule('io_error', 'beyond end of device', r'(?:' + _COMM + r': )?attempt to access beyond end of device', once=True),
    _rule('io_error', 'exception Emask', r'ata\d+(?:\.\d+)?: exception Emask', once=True),
    _rule('io_error', 'I/O to offline device', r'sd \S+: (?:\[\w+\] )?rejecting I/O to offline device', once=True),
    _rule('io_error', 'attempting task abort',
          r'(?:sd \S+: (?:\[\w+\] )?|mpt[23]sas(?:_cm)?\d+: )attempting task abort! ?scmd\(', once=True),
    _rule('io_error', 'Device offlined - ', r'sd \S+: Device offlined - not ready after error recovery', once=True),
    _rule('io_error', 'due to I/O error on', r'lost (?:async |sync )?page write due to I/O error on ', once=True),
    _rule('io_error', 'failing I/O', r'block \S+: no available path - failing I/O', once=True),
    _rule('nvme_error', ' timeout, ', r'nvme nvme\d+: I/O .{1,100} timeout, (?:reset|abort|disable|completion)', once=True),
    _rule('nvme_error', 'nvme nvme',
          r'nvme nvme\d+: (?:Disabling device after reset failure|controller is down; will reset|Device not ready; aborting)',
          once=True),
    _rule('md_degraded', 'Disk failure on', r'md/raid\S*: Disk failure on \S+ (?!detected, failing)', once=True),
    _rule('md_failed', 'failing array', r'md/raid\S*: Disk failure on \S+ detected, failing array', once=True),
    _rule('md_failed', 'annot continue operation', r'md/raid\S*: Cannot continue operation \(', once=True),
    _rule('md_failed', 'unrecoverable I/O read error', r'md/raid\S*: \S+: unrecoverable I/O read error for block ', once=True),
    _rule('md_failed', 'read error not correctable', r'md/raid\S*: read error not correctable \(sector ', once=True),
    _rule('md_failed', 'and has been suspended',
          r"(?:SPLError: \d+:.{1,80} )?WARNING: Pool '.{1,64}' has encountered an uncorrectable I/O failure", once=True),
    _rule('storage_path', 'recovery timed out', r'session\d+: session recovery timed out after ', once=True),
    _rule('storage_path', 'Failing path', r'device-mapper: multipath: \S+: Failing path \S', once=True),
    _rule('storage_path', 'FC remote port time out', r'rport-\S+: blocked FC remote port time out: ', once=True),
    _rule('storage_path', 'quorum( yes -> no', r'drbd \S.{0,80}: quorum\( yes -> no \)', once=True),
    _rule('storage_path', 'Split-Brain detected but', r'(?:block )?drbd\S* .{0,80}Split-Brain detected but unresolved', once=True),
    _rule('storage_path', ': Connection timed out', r'block nbd\d+: Connection timed out', once=True),
    _rule('storage_full', ': switching pool to ',
          r'device-mapper: thin: \S+: switching pool to (?:out-of-data-space|out-of-metadata-space|read-only|fail)', once=True),
    _rule('storage_low', 'reached low water mark', r'device-mapper: thin: \S+: reached low water mark for ', once=True),
    _rule('hba_reset', 'fault_state(0x', r'mpt[23]sas(?:_cm)?\d+: (?:\w+: )?fault_state\(0x', once=True),
    _rule('hba_reset', 'sending diag reset', r'mpt[23]sas(?:_cm)?\d+: sending diag reset !!', once=True),
    _rule('hba_reset', 'FW in FAULT state', r'megaraid_sas ' + _ADDRESS + r': FW in FAULT state', once=True),
    _rule('hba_reset', 'OCR is requested due', r'megaraid_sas ' + _ADDRESS + r': OCR is requested due to IO timeout', once=True),
    _rule('hba_reset', 'HBA is killed', r'(?:megaraid_sas ' + _ADDRESS + r': )?\w+:\d+ (?:OCR failed and )?HBA is killed', once=True),
    _rule('hba_reset', ' request. SCSI hang ?', r'aacraid: Host (?:bus|device|target|adapter) reset request\. SCSI hang \?', once=True),
    _rule('hba_reset', 'Controller lockup detected: 0x', r'hpsa ' + _ADDRESS + r': Controller lockup detected: 0x', once=True),
    _rule('hba_reset', 'controller is offline: status', r'smartpqi ' + _ADDRESS + r': controller is offline: status code ', once=True),
    _rule('fs_readonly', 'filesystem read-only',
          r'(?:[\w-]{3,12}(?: \(\S+\))?: )?(?:\(\S+\): )?Remounting filesystem read-only', once=True),
    _rule('fs_readonly', ': forced readonly', r'BTRFS:? \w+ \(device [^)]{1,64}\):? forced readonly', once=True),
    _rule('fs_error', 'potential data loss', r'EXT4-fs (?:\w+ )?\((?:device )?\S+\): .{0,160}potential data loss!', once=True),
    _rule('fs_error', 'Data will be lost', r'EXT4-fs (?:\w+ )?\((?:device )?\S+\): This should not happen!! Data will be lost', once=True),
    _rule('fs_error', '-fs error ', r'EXT[234]-fs error \(device ', once=True),
    _rule('fs_error', 'while writing superblock', r'(?:[\w-]{3,12}(?: \(\S+\))?: )?I/O error while writing superblock', once=True),
    _rule('fs_error', 'XFS',
          r'XFS \(\S+\): (?:Internal error|Corruption |[Mm]etadata (?:corruption|CRC error|I/O [Ee]rror)|'
          r'log I/O error -\d|xfs_log_force: error -?\d+ returned|Filesystem has been shut down due to |'
          r'.{0,300}[Ss]hutting down filesystem)'),
    _rule('fs_error', 'nternal error X', r'(?:Filesystem "\S{1,64}": XFS|XFS:?) [Ii]nternal error XFS_'),
    _rule('fs_error', 'BTRFS', r'BTRFS:? (?:error|critical) \(device ', once=True),
    _rule('fs_error', 'Aborting journal', r'(?:JBD2: )?Aborting journal on device ', once=True),
    _rule('vfs', 'VFS: ', r'VFS: (?:Close: file count is (?:0|zero)|Busy inodes after unmount)', once=True),
    _rule('nfs_not_responding', ' not responding', r'nfs: server \S+ not responding', once=True),
    _rule('nfs_not_responding', 'has not responded in ', r'CIFS: (?:VFS: )?.{0,160}has not responded in \d+ seconds', once=True),
    _rule('nfs_not_responding', ': mds',
          r'ceph: (?:\[[^\]]{1,80}\]: ?)?mds\d+ (?:hung|reconnect (?:denied|rejected)|session blocklisted|rejected session)', once=True),
    _rule('nfs_not_responding', 'was lost; in progress', r'Lustre: .{1,160}: Connection to .{1,160} was lost; in progress operations',
          once=True),
    _rule('nfs_not_responding', 'This client was evicted by', r'LustreError: .{1,160}: This client was evicted by \S', once=True),
    _rule('nfs_state_lost', 'Lock reclaim failed', r'(?:NFS: )?nfs4?_\w+: Lock reclaim failed', once=True),
    _rule('nfs_state_lost', 'state recovery failed', r'NFSv4: state recovery failed for open file ', once=True),
    _rule('nfs_state_lost', 'failed on NFSv4 server', r'NFS: state manager.{0,40} failed on NFSv4 server \S', once=True),
    # network and tables
    _rule('netdev_watchdog', 'NETDEV WATCHDOG', r'NETDEV WATCHDOG: '),
    _rule('netdev_watchdog', 'NETDEV WATCHDOG', r'[\w-]{1,32} [\w:.-]{1,32} [\w.@-]{1,16}(?: \(\w+\))?: NETDEV WATCHDOG: '),
    _rule('netdev_watchdog', 'Unit Hang', _NIC + r'Detected (?:Hardware|Tx) Unit Hang', once=True),
    _rule('netdev_watchdog', 'TX timeout detected', _NIC + r'TX timeout detected', once=True),
    _rule('netdev_watchdog', 'tx_timeout: VSI_', _NIC + r'tx_timeout: VSI_', once=True),
    _rule('netdev_watchdog', 'due to tx timeout', _NIC + r'initiating reset due to tx timeout', once=True),
    _rule('link_flap', 'ink is Down', r'.{1,80}[Ll]ink is Down', once=True),
    _rule('link_flap', 'ink is down', r'.{1,80}[Ll]ink is down', once=True),
    _rule('link_flap', ': Link down', _NIC + r'Link down', once=True),
    _rule('firmware_crash', 'health compromised', r'mlx5_core ' +
          _ADDRESS + r": (?:\w+:\d+:\(pid \d+\): )?device's health compromised - reached miss count",
          once=True),
    _rule('firmware_crash', 'Fatal error ', r'mlx5_core ' + _ADDRESS + r': (?:\w+:\d+:\(pid \d+\): )?Fatal error \d+ detected', once=True),
    _rule('firmware_crash', 'cause a leak of a command',
          r'mlx5_core ' + _ADDRESS + r': (?:\w+:\d+:\(pid \d+\): )?(?:cmd\[\d+\]: )?\w+\(0x[0-9a-f]+\) .{0,12}timeout\. Will cause a leak',
          once=True),
    _rule('firmware_crash', 'Microcode SW error detected', r'iwlwifi ' + _ADDRESS + r': Microcode SW error detected', once=True),
    _rule('firmware_crash', 'firmware crashed! (guid', r'ath10k_\w+ \S+: firmware crashed! \(guid ', once=True),
    _rule('firmware_crash', 'unload and reload driver', r'ice ' + _ADDRESS + r': Rebuild failed, unload and reload driver', once=True),
    _rule('firmware_crash', 'firmware fatal condition', r'bnxt_en ' + _ADDRESS + r'(?: \S{1,16})?: Detected firmware fatal condition',
          once=True),
    _rule('usb_over_current', ': over-current condition', r'(?:usb|hub) \S{1,32}: over-current condition', once=True),
    _rule('gpu_error', 'NVRM: Xid', r'NVRM: Xid \(PCI:[0-9a-fA-F:.]{4,20}\): \d+', once=True),
    _rule('gpu_error', 'fallen off the bus', r'NVRM: (?:The NVIDIA )?GPU .{1,120}has fallen off the bus', once=True),
    _rule('gpu_error', 'timeout, signaled seq=',
          r'(?:' + _DRM + r'|\[drm:amdgpu_job_timedout(?: \[amdgpu\])?\] \*ERROR\* )ring \S+ timeout, signaled seq=', once=True),
    _rule('gpu_error', 'failed to respon', _DRM + r'MES(?:\(\d\))? failed to respon(?:d to|se) msg=', once=True),
    _rule('gpu_error', 'GPU HANG: ecode', _DRM + r'GPU HANG: ecode ', once=True),
    _rule('gpu_error', 'Timedout job', _DRM + r'(?:Tile\d+: )?(?:GT\d+: )?Timedout job', once=True),
    _rule('gpu_error', 'GPU reset(', _DRM + r'GPU reset\(\d+\) failed', once=True),
    _rule('hypervisor_timeout', 'Timeout connecting to device: ', r'xenbus_probe_frontend: Timeout connecting to device: ', once=True),
    _rule('hypervisor_timeout', ' timed out', r'xenbus_probe_frontend: backend \S+ timed out', once=True),
    _rule('hypervisor_timeout', 'boot-time offers', r'hv_vmbus: timed out waiting for all boot-time offers', once=True),
    _rule('hypervisor_timeout', ': TX timeout on queue: ', _NIC + r'TX timeout on queue: \d+, sq: ', once=True),
    _rule('rt_throttling', 'RT throttling activated', r'sched: (?:DL replenish lagged|RT throttling activated)', once=True),
    _rule('slow_interrupt', 'hrtimer: interrupt took', r'hrtimer: interrupt took \d+ ns', once=True),
    _rule('work_hogs_cpu', ' hogged CPU for >', r'workqueue: \S+(?: \[[\w-]+\])? hogged CPU for >\d+us', once=True),
    _rule('split_lock', '_lock trap at address', r'x86/split lock detection: #\w\w: .{1,32}/\d+ .{1,16}(?:split|bus)_lock trap at address',
          once=True),
    _rule('pids_limit', 'fork rejected by pids', r'cgroup: fork rejected by pids controller in ', once=True),
    _rule('netdev_unregister', 'unregister_netdevice: ', r'unregister_netdevice: waiting for \S+ to become free', once=True),
    _rule('nf_conntrack_full', 'table full, dropping', r'(?:nf|ip)_conntrack: (?:nf_conntrack: )?table full, dropping', once=True),
    _rule('neigh_table_full', 'neighbo', r'(?:neighbour: \w+: n|N)eighbou?r table overflow', once=True),
    _rule('tcp_memory', 'TCP: out of memory', r'TCP: out of memory -- ', once=True),
    _rule('tcp_memory', 'too many orphaned sockets', r'TCP: too many orphaned sockets', once=True),
    _rule('syn_flood', 'SYN flooding', r'TCP: .{0,60}[Pp]ossible SYN flooding on port', once=True),
    _rule('file_table_full', 'file-max limit', r'VFS: file-max limit \d+ reached', once=True),
    _rule('audit_backlog', 'audit: backlog', r'audit: backlog limit exceeded', once=True),
    _rule('audit_backlog', 'audit: audit_backlog', r'audit: audit_backlog=\d+ > ', once=True),
    # programs that the kernel killed
    _rule('segfault', 'segfault at ', _COMM + r'\[\d+\]: segfault at [0-9a-f]+ [re]?ip', once=True),
    _rule('segfault', ' ip:', _COMM + r'\[\d+\] (?:general protection(?: fault)?|trap [\w ]+) ip:[0-9a-f]+', once=True),
    # the rest
    _rule('other_kernel', 'panicked at ', r'rust_kernel: panicked at '),
    _rule('other_kernel', 'trusty: ', r'trusty: (?:panic\b|.{0,80}ASSERT FAILED)'),  # the secure world's kernel, by way of this one
    _rule('bug_other', 'stack overflow', r'do_IRQ: .{0,40}stack overflow'),
    _rule('info_other', 'assertion failed at ', r'RTNL: assertion failed at '),
    _rule('info_other', 'Flags mismatch irq', r'genirq: Flags mismatch irq'),
    _rule('info_other', 'INFO: Freed in', r'INFO: Freed in \S+'),
    _rule('info_other', 'INFO: Allocated in', r'INFO: Allocated in \S+'),
    _rule('bug_other', 'BUG: kernel ', r'BUG: kernel '),
    _rule('bug_other', 'BUG: ', r'BUG: \S', sure=False),
    _rule('info_other', 'not get directory: ', r'sysctl could not get directory: '),
    _rule('info_other', 'sysctl table check', r'sysctl table check failed: '),
    _rule('bug_other', ': BUG: ', r'[\w-]{2,20} \S+\.[ch]:\d+: BUG: '),
)


def shortest(literals):
    """The literals without those that hold another one, a tuple."""
    kept = []
    for literal in sorted(set(literals), key=len):
        if not any(short in literal for short in kept):
            kept.append(literal)
    return tuple(kept)


NEEDLES = shortest(rule.needle for rule in RULES)


def _by_needle():
    """{one of NEEDLES: [(place in RULES, rule)]}: each rule under one literal that its own needle holds."""
    found = dict((needle, []) for needle in NEEDLES)
    for place, rule in enumerate(RULES):
        found[next(needle for needle in NEEDLES if needle in rule.needle)].append((place, rule))
    return found


_BY_NEEDLE = _by_needle()
_PLACE = operator.itemgetter(0)
# A message behind one that had no end of line: 'testing something...NMI watchdog: BUG: ...'
_GLUED = re.compile(r'[a-z0-9.](?=(?:NMI watchdog|watchdog|BUG|WARNING|INFO): |Kernel panic - )')


def may_match(line):
    """False where no rule can match the line, found cheaply."""
    for needle in NEEDLES:
        if needle in line:
            return True
    return False


def find(text, kernel):
    """The first rule that matches the text, or None.

    kernel: the line itself says that the kernel wrote it; without that, unsure rules are not asked.
    """
    if ' OUT=' in text and 'IN=' in text:
        return None  # netfilter's LOG: its prefix is any text that somebody chose
    needles = [needle for needle in NEEDLES if needle in text]
    if not needles:
        return None
    candidates = _BY_NEEDLE[needles[0]]
    if len(needles) > 1:
        candidates = sorted((found for needle in needles for found in _BY_NEEDLE[needle]), key=_PLACE)
    subsystem = SUBSYSTEM.match(text)
    while subsystem:
        text = text[subsystem.end():]
        subsystem = SUBSYSTEM.match(text)
    text = text.lstrip()
    for _place, rule in candidates:
        if rule.needle in text and (kernel or rule.sure) and rule.regex.match(text):
            return rule, text
    glued = _GLUED.search(text) if kernel else None
    return find(text[glued.end():], False) if glued else None
