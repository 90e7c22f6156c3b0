# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of the probe: one line each."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory.bpf_objects import BpfSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.caches import FileNamesSource, PageCacheSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.cgroups import CgroupSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.descriptors import Descriptors
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.huge import HugePoolSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.ipc import Keys, PosixQueues, SystemV
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.kernel_objects import (
    AioContexts,
    FileLocks,
    InotifyWatches,
    Mappings,
    TimersAndSignals,
)
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.mounts import LoopSource, MountSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.networks import NetworkSource
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.processes import Processes
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.sockets import Sockets
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.tmpfs import TmpfsSource

SOURCES = (
    Descriptors,
    Processes,
    TimersAndSignals,
    FileLocks,
    AioContexts,
    InotifyWatches,
    Mappings,
    Sockets,
    SystemV,
    PosixQueues,
    Keys,
    CgroupSource,
    MountSource,
    LoopSource,
    NetworkSource,
    TmpfsSource,
    BpfSource,
    HugePoolSource,
    PageCacheSource,
    FileNamesSource,
)
