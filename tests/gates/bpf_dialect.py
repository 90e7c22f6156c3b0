# SPDX-License-Identifier: GPL-3.0-or-later
"""What bcc adds to a BPF text, as declarations that clang can check without bcc, root and a running kernel.

The maps are bcc's own way (structures of function pointers), so the type of each key and value is checked. The helpers have the
prototypes of the kernel's bpf-helpers(7). A tracepoint has the fields alone that a probe requires of the kernel before it uses them.
"""

import subprocess

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import headers

COMM = "char {}[16]"
POINTER = "void *{}"
_SWITCH = {side + "_" + field: of for side in ("prev", "next") for field, of in (("pid", "int {}"), ("comm", COMM), ("prio", "int {}"))}
_WAKEUP = {"pid": "int {}", "comm": COMM, "target_cpu": "int {}"}
_ALLOC = {"call_site": "unsigned long {}", "ptr": "const void *{}", "bytes_alloc": "size_t {}", "gfp_flags": "unsigned long {}"}
_PAGE = {"pfn": "unsigned long {}", "order": "unsigned int {}"}

# {event: {field: declaration}}, as /sys/kernel/tracing/events/*/*/format has them.
TRACEPOINTS = {
    "sched:sched_wakeup": _WAKEUP,
    "sched:sched_wakeup_new": _WAKEUP,
    "sched:sched_switch": {**_SWITCH, "prev_state": "long {}"},
    "kmem:kmalloc": _ALLOC,
    "kmem:kmalloc_node": _ALLOC,
    "kmem:kmem_cache_alloc": _ALLOC,
    "kmem:kmem_cache_alloc_node": _ALLOC,
    "kmem:kfree": {"ptr": "const void *{}"},
    "kmem:kmem_cache_free": {"ptr": "const void *{}"},
    "kmem:mm_page_alloc": {**_PAGE, "gfp_flags": "unsigned long {}"},
    "kmem:mm_page_free": _PAGE,
    "percpu:percpu_alloc_percpu": {"size": "size_t {}", "ptr": POINTER},
    "percpu:percpu_free_percpu": {"ptr": POINTER},
    "vmalloc:alloc_vmap_area": {"size": "unsigned long {}", "failed": "int {}"},
    "block:block_bio_queue": {"dev": "unsigned int {}"},
    "timer:hrtimer_start": {"function": POINTER},
    "timer:hrtimer_expire_entry": {"hrtimer": POINTER, "function": POINTER},
    "timer:hrtimer_expire_exit": {"hrtimer": POINTER},
    "timer:timer_expire_entry": {"timer": POINTER, "function": POINTER},
    "timer:timer_expire_exit": {"timer": POINTER},
}

_DECLARATIONS = """
#include <linux/types.h>
#include <linux/log2.h>
struct bpf_raw_tracepoint_args { u64 args[0]; };
struct pt_regs;
u64 bpf_ktime_get_ns(void);
u64 bpf_get_current_pid_tgid(void);
u64 bpf_get_current_task(void);
u64 bpf_jiffies64(void);
long bpf_get_task_stack(void *task, void *to, u32 size, u64 flags);
u32 bpf_get_smp_processor_id(void);
int bpf_get_current_comm(void *to, u32 size);
long bpf_get_stack(void *ctx, void *to, u32 size, u64 flags);
int bpf_probe_read(void *to, u32 size, const void *from);
int bpf_probe_read_kernel(void *to, u32 size, const void *from);
int bpf_probe_read_kernel_str(void *to, u32 size, const void *from);
unsigned int bpf_log2l(unsigned long value);
#define BPF_TABLE(type, key_type, leaf_type, name, entries) \\
  struct name##_table { \\
    key_type key; leaf_type leaf; \\
    leaf_type *(*lookup)(key_type *); \\
    leaf_type *(*lookup_or_try_init)(key_type *, leaf_type *); \\
    int (*update)(key_type *, leaf_type *); \\
    int (*insert)(key_type *, leaf_type *); \\
    int (*delete)(key_type *); \\
    int (*get_stackid)(void *, u64); \\
    char name_of_type[sizeof(type)]; \\
    char size_is_constant[(entries) > 0 ? 1 : -1]; \\
  }; \\
  extern struct name##_table name
#define BPF_HASH(name, key_type, leaf_type, entries) BPF_TABLE("hash", key_type, leaf_type, name, entries)
#define BPF_ARRAY(name, leaf_type, entries) BPF_TABLE("array", int, leaf_type, name, entries)
#define BPF_PERCPU_ARRAY(name, leaf_type, entries) BPF_TABLE("percpu_array", int, leaf_type, name, entries)
#define BPF_PERCPU_HASH(name, key_type, leaf_type, entries) BPF_TABLE("percpu_hash", key_type, leaf_type, name, entries)
#define BPF_PROG_ARRAY(name, entries) \\
  struct name##_table { void (*call)(void *, int); }; \\
  extern struct name##_table name
"""

# bcc's own flags but for these: an unused parameter is how fragments with and without an option fit, and bcc mixes int with u32 keys.
_FLAGS = ("-target", "bpf", "-fsyntax-only", "-x", "c", "-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror")
_ALLOWED = ("-Wno-unused-parameter", "-Wno-unused-function", "-Wno-pointer-sign", "-Wno-sign-compare")


def declarations():
    """Return the C text that stands before a BPF text."""
    structs = []
    for event, fields in TRACEPOINTS.items():
        members = " ".join(declaration.format(field) + ";" for field, declaration in fields.items())
        structs.append("struct tracepoint__%s { u64 common; %s };\n" % (event.replace(":", "__"), members))
    return _DECLARATIONS + "".join(structs)


def write_headers(folder):
    """Write the header files that a BPF text may include."""
    headers.write_tree(str(folder))
    (folder / "bcc.h").write_text(declarations())


def errors_of(folder, texts):
    """Return what clang reports of BPF texts, '' when all compile. folder: of write_headers(); texts: {name: text}."""
    files = []
    for name, text in texts.items():
        files.append(folder / (name + ".c"))
        files[-1].write_text(text)
    include = ("-nostdinc", "-I", folder / "include", "-include", folder / "bcc.h")
    done = subprocess.run(["clang", *_FLAGS, *_ALLOWED, *include, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or done.stderr
    return done.stderr if done.returncode else ""
