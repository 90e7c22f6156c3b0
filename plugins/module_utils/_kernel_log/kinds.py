# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of kernel reports: one table for the rules of patterns.py, the policy, the schema and the documentation.

severity, category: as in a finding. title: what the kind is, in a few words. remedy: what an operator does about it.
first_check: the first command that an operator types; <words> in it stand for names from the report.
reference: address of a page about it, or None.
"""

import collections

Kind = collections.namedtuple('Kind', 'kind severity category title remedy first_check reference')

_KERNEL = 'https://docs.kernel.org/'
_BUG_HUNTING = _KERNEL + 'admin-guide/bug-hunting.html'
_KDUMP = _KERNEL + 'admin-guide/kdump/kdump.html'
_LOCKUPS = _KERNEL + 'admin-guide/lockup-watchdogs.html'
_RAS = _KERNEL + 'admin-guide/RAS/main.html'
_IP_SYSCTL = _KERNEL + 'networking/ip-sysctl.html'

_OOPS = ('Kernel code touched memory that it must not. The process is gone, locks may still be held: restart the host soon. '
         'Update the kernel, or the module of the culprit; if it goes on, report it with the excerpt.')
_CORRUPTION = 'Memory of the kernel was overwritten. Restart the host soon; test the memory, remove out-of-tree modules, update the kernel.'

_TAINT_CHECK = 'cat /proc/sys/kernel/tainted; uname -r'
_MEMORY_CHECK = 'grep . /sys/devices/system/edac/mc/mc*/*_count'
_STEAL_CHECK = 'vmstat 1 5'
_BMC_CHECK = 'ipmitool sel elist'
_REPORTED = 'dmesg --ctime --level=err,warn'

KINDS = tuple(Kind(*row) for row in (
    # a kernel that stopped or may not go on
    ('panic', 'fatal', 'exception', 'kernel panic',
     'The kernel gave up and the host stopped. Read what came before it in the excerpt, set up kdump so that the next one leaves a '
     'memory image, and update the kernel or the module that is named.', 'ls -l /var/crash /sys/fs/pstore', _KDUMP),
    ('oops_page_fault', 'critical', 'exception', 'page fault in the kernel', _OOPS, _TAINT_CHECK, _BUG_HUNTING),
    ('gpf', 'critical', 'exception', 'general protection fault in the kernel', _OOPS, _TAINT_CHECK, _BUG_HUNTING),
    ('oops_trap', 'critical', 'exception', 'CPU exception in the kernel', _OOPS, _TAINT_CHECK, _BUG_HUNTING),
    ('kernel_bug', 'critical', 'exception', 'BUG in the kernel',
     'The kernel found itself in a state that must not be (BUG). Restart the host soon, update the kernel or the module of the '
     'culprit, and report it with the excerpt.', _TAINT_CHECK, _BUG_HUNTING),
    ('bug_other', 'error', 'exception', 'other BUG message',
     'The kernel reported a bug of its own. Update it, and report it with the excerpt if it goes on.', _TAINT_CHECK, _BUG_HUNTING),
    ('other_kernel', 'error', 'exception', 'report of another kernel component',
     'A part of the kernel in another language, or the kernel of the secure world, reported a failure. Update the driver or the firmware '
     'that the excerpt names, and report it.', _TAINT_CHECK, _BUG_HUNTING),
    ('warning', 'warning', 'exception', 'kernel warning',
     'The kernel met something unexpected and went on. Harmless alone; look for the culprit in the distribution\'s bug tracker, a '
     'kernel update fixes most of them.', _TAINT_CHECK, _BUG_HUNTING),
    ('info_other', 'info', 'exception', 'other kernel notice',
     'The kernel noticed a wrong setting or use and went on. Read the excerpt; it matters only where something else is wrong too.',
     _REPORTED, None),
    # lock-ups and stalls
    ('soft_lockup', 'critical', 'exception', 'soft lockup',
     'One CPU stayed in the kernel for too long and ran nothing else. On a virtual machine look first at an overloaded hypervisor (steal '
     'time, paused or migrated machine); else at the culprit of the trace.', _STEAL_CHECK, _LOCKUPS),
    ('hard_lockup', 'critical', 'exception', 'hard lockup',
     'One CPU did not even take interrupts. Hardware, firmware, or a driver that holds a spinlock with interrupts off: see the trace, '
     'update firmware and kernel.', _BMC_CHECK, _LOCKUPS),
    ('workqueue_lockup', 'error', 'exception', 'workqueue lockup',
     'Deferred work of the kernel is stuck. See in the excerpt which function holds the worker, and what it waits for (often storage).',
     'ps -eo pid,stat,wchan:32,comm | grep " D"', _KERNEL + 'core-api/workqueue.html'),
    ('rcu_stall', 'error', 'exception', 'RCU stall',
     'A CPU did not pass through the scheduler for very long, or the grace-period thread did not get to run. Look for real-time tasks that '
     'never sleep, a stolen virtual CPU, a slow serial console, and the function in the trace.', _STEAL_CHECK,
     _KERNEL + 'RCU/stallwarn.html'),
    ('hung_task', 'error', 'exception', 'hung task',
     'A task waited without end, mostly for storage or for a lock. Look at the disks and at network file systems of that time, then at the '
     'function in the trace.', 'ps -eo pid,stat,wchan:32,comm | grep " D"', _KERNEL + 'admin-guide/sysctl/kernel.html'),
    # locks and contexts
    ('atomic_sleep', 'error', 'exception', 'sleep in atomic context',
     'Kernel code slept where it must not. It is a bug in the culprit (often an out-of-tree module); update or report it.', _TAINT_CHECK,
     _BUG_HUNTING),
    ('lockdep', 'warning', 'exception', 'locking bug found by lockdep',
     'The lock checker found a possible deadlock. It is a bug in the kernel code that is named; report it. Production kernels rarely run '
     'this checker.', _TAINT_CHECK, _KERNEL + 'locking/lockdep-design.html'),
    # memory
    ('bug_mm', 'critical', 'exception', 'damaged page accounting',
     'The accounting of memory pages is damaged. Test the memory (EDAC counters, memtest) before blaming software; then update the kernel '
     'and out-of-tree modules. Restart the host soon.', _MEMORY_CHECK, _BUG_HUNTING),
    ('list_corruption', 'critical', 'exception', 'list corruption', _CORRUPTION, _MEMORY_CHECK, _BUG_HUNTING),
    ('slab_corruption', 'critical', 'exception', 'slab corruption', _CORRUPTION, _MEMORY_CHECK, _BUG_HUNTING),
    ('kasan', 'critical', 'exception', 'KASAN report',
     'The address checker caught a wrong memory access. The trace names the guilty code; report it. Such kernels are for tests.',
     _TAINT_CHECK, _KERNEL + 'dev-tools/kasan.html'),
    ('kfence', 'critical', 'exception', 'KFENCE report',
     'A sampled check caught a use-after-free or an overflow in real use. The trace names the guilty code; update or report it.',
     _TAINT_CHECK, _KERNEL + 'dev-tools/kfence.html'),
    ('kmsan', 'error', 'exception', 'KMSAN report',
     'Uninitialised memory was used. The trace names the guilty code; report it. Such kernels are for tests.', _TAINT_CHECK,
     _KERNEL + 'dev-tools/kmsan.html'),
    ('kcsan', 'warning', 'exception', 'KCSAN report',
     'A data race was seen. The trace names both sides; report it. Such kernels are for tests.', _TAINT_CHECK,
     _KERNEL + 'dev-tools/kcsan.html'),
    ('ubsan', 'warning', 'exception', 'UBSAN report',
     'Code with undefined behaviour ran, often an index beyond an array. Update the driver that is named, or report it.', _TAINT_CHECK,
     _KERNEL + 'dev-tools/ubsan.html'),
    ('kmemleak', 'warning', 'leak', 'kmemleak report',
     'The kernel\'s own leak checker found objects that nothing points to. Its stack names who allocated them.',
     'cat /sys/kernel/debug/kmemleak', _KERNEL + 'dev-tools/kmemleak.html'),
    ('oom', 'error', 'resource', 'out of memory',
     'Memory ran out and a process was killed. See in the excerpt who was killed, who asked, and whether a cgroup\'s limit or the whole '
     'host was full. Raise the limit, add memory, or find the process (or kernel leak) that grew.', 'ps aux --sort=-rss | head',
     _KERNEL + 'admin-guide/mm/concepts.html'),
    ('page_alloc_failure', 'warning', 'resource', 'page allocation failure',
     'An allocation that must not wait found no free page. Raise vm.min_free_kbytes a little; a high order in the title means fragmented '
     'memory.', 'cat /proc/buddyinfo', _KERNEL + 'admin-guide/sysctl/vm.html'),
    # hardware
    ('mce', 'error', 'hardware', 'machine check',
     'The processor reported a hardware error. See rasdaemon or mcelog for the part; a corrected error that repeats is a part to replace.',
     'ras-mc-ctl --errors', _RAS),
    ('edac', 'error', 'hardware', 'memory error (EDAC)',
     'A memory controller reported an error. Uncorrected (UE): move the load away and replace the module. Corrected (CE) errors that '
     'repeat: plan the replacement. The title names the module where the board reports it.', _MEMORY_CHECK, _RAS),
    ('pcie_aer', 'warning', 'hardware', 'PCI Express error',
     'A PCI Express link reported an error. Reseat or replace the card, update its firmware, and check the slot. Corrected errors that '
     'repeat slow the link; uncorrected ones lose data.', 'lspci -vvv -s <device>', _KERNEL + 'PCI/pcieaer-howto.html'),
    ('iommu_fault', 'error', 'hardware', 'IOMMU fault',
     'A device accessed memory that its driver did not map: a bug of the driver or of the firmware, or a broken device. Update both, and '
     'look at the device that the title names.', 'lspci -nnk -s <device>', _KERNEL + 'arch/x86/iommu.html'),
    ('nmi', 'error', 'hardware', 'NMI of unknown reason',
     'Hardware raised an interrupt that cannot be masked, and no driver explains it: memory or bus errors, or a button of the BMC. Read '
     'the event log of the BMC, update the firmware.', _BMC_CHECK, _RAS),
    ('thermal', 'warning', 'hardware', 'CPU too hot',
     'A CPU is hotter than its limit and runs slower. Check fans, air flow and room temperature; latency of this host is not '
     'representative meanwhile.', 'sensors', _KERNEL + 'admin-guide/thermal/index.html'),
    ('thermal_shutdown', 'critical', 'hardware', 'critical temperature',
     'A part of the host reached its critical temperature, and the kernel shuts the host down. Check fans, air flow, dust '
     'and room temperature before the host runs again.', 'sensors', _KERNEL + 'driver-api/thermal/sysfs-api.html'),
    ('gpu_error', 'error', 'hardware', 'GPU error',
     'A graphics processor or accelerator failed, hung or was reset, and the jobs on it are lost. Look up the number (Xid) '
     'or the ring in the title, check power, temperature and the slot, update driver and firmware; replace a GPU that falls '
     'off the bus or reports uncorrected memory errors again.', 'nvidia-smi -q || ls /sys/class/drm/card*/device/devcoredump',
     'https://docs.nvidia.com/deploy/xid-errors/index.html'),
    ('usb_over_current', 'warning', 'hardware', 'USB port over current',
     'A device drew more current from a USB port than it may, or the port is damaged. Unplug what is in the port, and use a '
     'powered hub; a port that reports it while it is empty is broken.', 'lsusb -t', None),
    ('split_lock', 'warning', 'interference', 'split lock',
     'A program locks memory across two cache lines, which stops the whole memory bus each time; the kernel slows that '
     'program down. Update or repair the program that the title names; on a virtual machine host, the guest. sysctl '
     'kernel.split_lock_mitigate=0 only stops the penalty.', 'sysctl kernel.split_lock_mitigate', _KERNEL + 'arch/x86/buslock.html'),
    ('rt_throttling', 'warning', 'interference', 'real-time tasks throttled',
     'Real-time tasks used all of their share of a CPU, and the kernel stopped them so that others could run. Find the real-'
     'time task that never sleeps; the kernel prints this once in a boot.', 'ps -eLo pid,tid,cls,rtprio,pcpu,comm | grep -E " (FF|RR) "',
     _KERNEL + 'scheduler/sched-rt-group.html'),
    ('slow_interrupt', 'warning', 'interference', 'slow timer interrupt',
     'The interrupt of the high-resolution timer took long, and all timers of that CPU were late. On a virtual machine the '
     'hypervisor stopped the CPU; else look for firmware (SMI) and for many timers that expire together. The kernel prints '
     'the longest time again only when it grows.', 'vmstat 1 5', None),
    ('work_hogs_cpu', 'info', 'interference', 'work item holds a CPU',
     'A work item of the kernel ran for longer than a fair turn and kept others of its pool waiting. One line is harmless; '
     'where the count in the title grows, update the driver of the function that it names.',
     'grep . /sys/module/workqueue/parameters/cpu_intensive_thresh_us', _KERNEL + 'core-api/workqueue.html'),
    ('hypervisor_timeout', 'error', 'hardware', 'virtual device does not answer',
     'The hypervisor did not answer a virtual device in time. Check the load and the storage of the hypervisor at that time,'
     ' and whether the machine was paused or migrated.', 'systemd-detect-virt', None),
    ('irq_nobody_cared', 'error', 'interference', 'interrupt without a handler',
     'An interrupt that no driver wanted was switched off; its device is slow or dead now. Update the driver, check shared interrupt '
     'lines.', 'cat /proc/interrupts', _KERNEL + 'core-api/genericirq.html'),
    ('clock_unstable', 'warning', 'hardware', 'unstable clock source',
     'The kernel gave up its clock source and uses a slower one, so that reading the time costs more. On a virtual machine check the '
     'clock and the load of the hypervisor; else update the firmware.',
     'cat /sys/devices/system/clocksource/clocksource0/current_clocksource', _KERNEL + 'timers/timekeeping.html'),
    # storage
    ('io_error', 'error', 'hardware', 'I/O error',
     'A device did not read or write. Check its health (smartctl, nvme smart-log), cables, path and controller; have a backup before '
     'anything else.', 'smartctl -x /dev/<device>', None),
    ('nvme_error', 'error', 'hardware', 'NVMe error',
     'An NVMe drive did not answer in time, or its controller failed. Check that the backup is good, read the log of the drive, update its '
     'firmware, and replace a drive that repeats it.', 'nvme smart-log /dev/<device>', None),
    ('md_degraded', 'error', 'hardware', 'RAID member failed',
     'A software RAID lost a member: the next disk that fails may lose the data. Replace the disk that the title names and add it again.',
     'cat /proc/mdstat', _KERNEL + 'admin-guide/md.html'),
    ('md_failed', 'critical', 'hardware', 'RAID failed',
     'A software RAID lost more members than it can bear, or could not read a block from any of them: data is lost or not '
     'reachable. Stop writing, check cables and controller (several disks at once rarely fail), then assemble the array '
     'again or restore the backup.', 'cat /proc/mdstat', _KERNEL + 'admin-guide/md.html'),
    ('storage_path', 'error', 'hardware', 'path to storage lost',
     'The host gave up a path to its storage: an iSCSI session, a port of the fibre-channel network, a path of multipath, or'
     ' the quorum of a replicated device. Check the storage, its network and its switches; without another path, programs '
     'get I/O errors.', 'multipath -ll; iscsiadm -m session -P 1', _KERNEL + 'admin-guide/device-mapper/index.html'),
    ('storage_full', 'critical', 'resource', 'thin pool full',
     'A thin pool has no space left: writes wait, fail, or the pool is read-only, although its file systems report free '
     'space. Extend the pool (data or metadata, as the title says) or remove snapshots at once, then check the file systems.',
     'lvs -a -o +data_percent,metadata_percent', _KERNEL + 'admin-guide/device-mapper/thin-provisioning.html'),
    ('storage_low', 'warning', 'resource', 'thin pool nearly full',
     'A thin pool reached its low-water mark. Extend it, or remove snapshots, before it is full: writes fail then, although '
     'its file systems report free space.', 'lvs -a -o +data_percent,metadata_percent',
     _KERNEL + 'admin-guide/device-mapper/thin-provisioning.html'),
    ('hba_reset', 'error', 'hardware', 'storage controller reset',
     'The firmware of a storage controller failed or hung, and the driver resets it; all its disks wait meanwhile. Update '
     'its firmware and driver, check its temperature and its disks, and replace a controller that repeats it.',
     'lspci -nnk | grep -A3 -i -E "raid|sas|sata"', None),
    ('fs_readonly', 'critical', 'hardware', 'file system went read-only',
     'A file system found an error and became read-only: programs cannot write any more. Save the data, look for errors of the device '
     'below it, check the file system while it is not mounted, then reboot or mount it again.', 'findmnt -O ro', None),
    ('fs_error', 'error', 'hardware', 'file system error',
     'A file system found damage or shut itself down. Look for errors of the device below it first, then check it while it is not mounted; '
     'it may be read-only now.', 'findmnt -O ro', None),
    ('vfs', 'warning', 'exception', 'file system bookkeeping error',
     'The kernel lost count of the users of a file or of an inode. It is a bug of the kernel or of the file system module that is '
     'named: update it, or report it with the excerpt.', _TAINT_CHECK, _BUG_HUNTING),
    ('nfs_not_responding', 'error', 'resource', 'file server does not respond',
     'A file server (NFS, CIFS, Ceph or Lustre) did not answer, and the tasks that use it wait. Check the server and the network '
     'between; tasks go on when it answers again.', 'findmnt -t nfs,nfs4,cifs,ceph,lustre', None),
    ('nfs_state_lost', 'error', 'resource', 'NFS locks or open files lost',
     'After a restart or a failure of its server, the host could not get back locks or open files of NFSv4: programs that hold them get '
     'I/O errors, and may have written without their lock. Restart the programs that use the mount; look at the log of the server and at '
     'its grace period.', 'nfsstat -c; findmnt -t nfs4', None),
    # network and tables
    ('netdev_watchdog', 'error', 'exception', 'network transmit timeout',
     'A network card did not send for seconds. Update its driver and firmware, check the cable and the switch\'s flow control.',
     'ethtool -S <device>', None),
    ('link_flap', 'warning', 'hardware', 'network link flaps',
     'The link of a network card went down at least three times within ten minutes. Check cable, transceiver and the port of'
     " the switch, and both sides' speed settings.", 'ethtool -S <device>; ethtool -m <device>',
     _KERNEL + 'networking/ethtool-netlink.html'),
    ('firmware_crash', 'error', 'hardware', 'firmware of a network card crashed',
     'The firmware of a network or wireless card crashed; the driver resets the card, and its traffic stops meanwhile. '
     'Update firmware and driver, and replace a card that repeats it.', 'ethtool -i <device>', None),
    ('netdev_unregister', 'error', 'exception', 'network device in use',
     'A network device cannot be removed because a user still holds it, often after a container or name space ended. Update the kernel.',
     'ip -details link', None),
    ('nf_conntrack_full', 'error', 'resource', 'connection table full',
     'Packets are dropped because the connection table is full. Raise net.netfilter.nf_conntrack_max, or exempt traffic from tracking.',
     'sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max', _KERNEL + 'networking/nf_conntrack-sysctl.html'),
    ('neigh_table_full', 'error', 'resource', 'neighbour table full',
     'The table of neighbours (ARP, NDP) is full, so that new peers are not reached. Raise net.ipv4.neigh.default.gc_thresh3 (and the '
     'thresholds below it, also for ipv6), or make the network segment smaller.', 'ip -s neigh show | wc -l', _IP_SYSCTL),
    ('tcp_memory', 'error', 'resource', 'TCP memory exhausted',
     'TCP reached its memory limit or its limit of orphaned sockets, and drops connections. Find the program that does not read or '
     'close its sockets; raise net.ipv4.tcp_mem or net.ipv4.tcp_max_orphans where the load is legitimate.', 'ss -s', _IP_SYSCTL),
    ('syn_flood', 'warning', 'resource', 'listen queue overflow',
     'More connections arrive at a port than its program accepts: an attack, or a listen queue that is too short. Raise '
     'net.core.somaxconn and the backlog of the program, or filter the peers.', 'ss -ltn', _IP_SYSCTL),
    ('file_table_full', 'error', 'resource', 'file table full',
     'The host reached its maximum number of open files, and programs fail. Find the program that holds most of them, or raise '
     'fs.file-max.',
     'cat /proc/sys/fs/file-nr', _KERNEL + 'admin-guide/sysctl/fs.html'),
    ('pids_limit', 'error', 'resource', 'limit of processes reached',
     'A control group reached its limit of processes and threads, and a program in it could not start another one. Find what'
     ' grew (the title names the group), or raise its limit: TasksMax of the systemd unit, or the pids limit of the '
     'container.', 'systemd-cgls <cgroup> | head; systemctl show -p TasksMax,TasksCurrent <unit>', _KERNEL + 'admin-guide/cgroup-v2.html'),
    ('audit_backlog', 'warning', 'resource', 'audit backlog overflow',
     'Audit events come faster than auditd stores them: events are lost, or tasks wait for them. Make the audit rules narrower, or raise '
     'the backlog limit (auditctl -b).', 'auditctl -s', None),
    # programs
    ('segfault', 'warning', 'exception', 'program crash',
     'A program crashed, not the kernel. Update it or look at its core dump (coredumpctl). Many different programs at once hint at bad '
     'memory.', 'coredumpctl list', None),
))

BY_NAME = dict((row.kind, row) for row in KINDS)
