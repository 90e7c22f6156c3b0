# SPDX-License-Identifier: GPL-3.0-or-later
"""The few header files that bcc asks for, so that no host needs kernel headers.

bcc changes into $BCC_KERNEL_SOURCE and includes a fixed, short list of files
before a program's own text. Programs here read tracepoint arguments only, whose
layout bcc takes from the running kernel's tracefs, so none of these files
describes a kernel structure. pt_regs is not one either: it is x86_64's ABI.
"""

import os
import platform
import re

_TYPES = """\
#ifndef KSYSAK_TYPES_H
#define KSYSAK_TYPES_H
typedef signed char s8; typedef unsigned char u8; typedef short s16; typedef unsigned short u16;
typedef int s32; typedef unsigned int u32; typedef long long s64; typedef unsigned long long u64;
typedef s8 __s8; typedef u8 __u8; typedef s16 __s16; typedef u16 __u16;
typedef s32 __s32; typedef u32 __u32; typedef s64 __s64; typedef u64 __u64;
typedef u16 __be16; typedef u16 __le16; typedef u32 __be32; typedef u32 __le32; typedef u64 __be64; typedef u64 __le64;
typedef u16 __sum16; typedef u32 __wsum;
typedef s8 int8_t; typedef u8 uint8_t; typedef s16 int16_t; typedef u16 uint16_t;
typedef s32 int32_t; typedef u32 uint32_t; typedef s64 int64_t; typedef u64 uint64_t;
typedef unsigned long size_t; typedef long ssize_t; typedef unsigned long uintptr_t; typedef long intptr_t;
typedef _Bool bool;
typedef int pid_t; typedef unsigned int uid_t; typedef unsigned int gid_t; typedef unsigned int gfp_t;
typedef unsigned int dev_t; typedef unsigned int fmode_t; typedef unsigned int slab_flags_t;
typedef unsigned short umode_t; typedef long long loff_t; typedef unsigned long ino_t; typedef unsigned long long sector_t;
typedef unsigned long long dma_addr_t; typedef unsigned long long phys_addr_t; typedef long long ktime_t;
typedef u64 __attribute__((aligned(8))) __aligned_u64;
#define __aligned_u64 __aligned_u64
#define true 1
#define false 0
#ifndef NULL
#define NULL ((void *)0)
#endif
#endif
"""

_PTRACE = """\
#ifndef KSYSAK_PTRACE_H
#define KSYSAK_PTRACE_H
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif
"""

# roundup_pow_of_two sizes bcc's stack maps, so it has to be a constant expression.
_LOG2 = """\
#ifndef KSYSAK_LOG2_H
#define KSYSAK_LOG2_H
#define roundup_pow_of_two(n) ((n) <= 1 ? 1UL : 1UL << (64 - __builtin_clzll((unsigned long long)(n) - 1)))
#endif
"""

_FILES = {
    'include/linux/kconfig.h': '#define CONFIG_BPF_SYSCALL 1\n',
    'include/linux/types.h': _TYPES,
    'include/linux/log2.h': _LOG2,
    'include/linux/bpf_common.h': '',
    'include/linux/ptrace.h': _PTRACE,
    'include/asm/page.h': '#define PAGE_SHIFT 12\n#define PAGE_SIZE (1UL << PAGE_SHIFT)\n',
    'include/uapi/linux/bpf.h': '',
    'include/uapi/linux/if_packet.h': '',
    'include/uapi/linux/ptrace.h': '#include <linux/ptrace.h>\n',
    'include/uapi/linux/bpf_perf_event.h': (
        '#include <linux/types.h>\n#include <linux/ptrace.h>\n'
        'struct bpf_perf_event_data { struct pt_regs regs; u64 sample_period; u64 addr; };\n'),
}


def version_code(release):
    """Return LINUX_VERSION_CODE for a kernel release such as '6.1.0-25-amd64'. 0 when it has no such form."""
    match = re.match(r'(\d+)\.(\d+)(?:\.(\d+))?', release)
    if not match:
        return 0
    major, minor, patch = (int(part or 0) for part in match.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)


def write_tree(folder):
    """Write the files below folder, which must exist and be private to this process. Raises OSError."""
    files = dict(_FILES)
    files['include/linux/version.h'] = (
        '#define LINUX_VERSION_CODE %d\n#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n'
        % version_code(platform.release()))
    for name, text in files.items():
        path = os.path.join(folder, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, 'w') as stream:
            stream.write(text)
