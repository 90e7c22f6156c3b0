# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel call stacks: from addresses to names, and from names to the function to blame."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare

DEPTH = 24

# Functions that allocate on behalf of others, by what they do; whoever called them is to blame.
_PLUMBING = re.compile(
    r'^(?:'
    r'_*k[mvz]+alloc\w*|_*krealloc\w*|_*kvrealloc\w*|_*kmemdup\w*|_*kstrn?dup\w*|memdup_user\w*|vmemdup_user\w*|kasprintf|kvasprintf'
    r'|_*kmem_cache_\w+|_*kmalloc_\w+|_*slab_\w+|_*do_kmalloc\w*|_*kmem_buckets\w*|_*new_slab\w*|allocate_slab|refill_\w+|_*alloc_from_pcs\w*'
    r'|kmalloc_large\w*|mempool_\w+|\w*sheaf\w*|alloc_slab_obj_exts|memcg_alloc_\w+'
    r'|_*alloc_(?:frozen_)?pages\w*|_*get_free_pages?\w*|get_zeroed_page\w*|_*folio_alloc\w*|_*alloc_page\w*|get_page_from_freelist'
    r'|_*page_frag_\w+|_*rmqueue\w*|_*vmalloc\w*|_*vzalloc\w*|kvzalloc\w*|vmap_\w*|pcpu_\w+|_*alloc_percpu\w*'
    r'|alloc_vmap_area|__get_vm_area_node\w*|cache_random_seq_create|__pte_alloc_kernel|__kernfs_new_node|kobject_set_name_vargs'
    r'|_*traceiter_\w+|trace_event_raw_event_\w+|perf_trace_\w+|perf_call_bpf_\w+|bpf_\w*trace\w*|trace_call_bpf|bpf_prog_\w+'
    r')$')

# Functions that call a BPF program, which is the frame before them, and how deep at most they are.
_CALLS_PROGRAM = ('bpf_trace_run', '__bpf_trace_', 'trace_call_bpf', 'perf_call_bpf')
_TRACING_DEPTH = 8


def culprit(stack):
    """Return (function, module) of the first frame that is not allocator plumbing; (None, None) of an empty stack.

    stack: names as given by Symbols.name, innermost first. module: str, or None for the kernel itself.
    Where every frame is plumbing the outermost one is given.
    """
    for frame in stack:
        if not _PLUMBING.match(bare(frame)):
            break
    else:
        if not stack:
            return None, None
        frame = stack[-1]
    module = re.search(r'\[([^\]]+)\]$', frame)
    return bare(frame), module.group(1) if module else None


class Symbols(object):
    """Names of kernel addresses, by bcc's reader of /proc/kallsyms.

    modules: ModuleSymbols, for names of modules that come and go; None: only those that bcc finds.
    """

    def __init__(self, bpf_class, modules=None):
        self._bpf_class = bpf_class
        self._modules = modules
        self._names = {}

    def load(self):
        """Read the symbols now: in a window that takes CPU time from others, and from whoever must keep up with the kernel."""
        self.refresh()
        self._bpf_class.ksym(0)

    def refresh(self):
        """Heed the modules that have come and gone."""
        if self._modules is not None:
            self._modules.refresh()

    def remember(self, addresses):
        """Note the names of addresses within modules while these are loaded."""
        for address in addresses:
            if address not in self._names:
                name = self._modules.name(address)
                if name is not None:
                    self._names[address] = name[:300]

    def name(self, address):
        """Return 'function+0x1c [module]' for an address; hexadecimal when the kernel hides its symbols."""
        if self._modules is not None:
            self.remember([address])
        # bcc would give the nearest name, or read all of them anew for each address when they are hidden.
        nameless = self._modules is not None and (self._modules.hidden or self._modules.beyond_kernel(address))
        if nameless and address not in self._names:
            return hex(address)
        if address not in self._names:
            name = self._bpf_class.ksym(address, show_module=True, show_offset=True).decode('utf-8', 'replace')
            if name.endswith(' [kernel]'):
                name = name[:-len(' [kernel]')]
            self._names[address] = hex(address) if name.startswith('[unknown]') else name[:300]
        return self._names[address]

    def stack(self, addresses):
        """Return the names of a stack's addresses, innermost first, without the tracing's own frames."""
        names = [self.name(address) for address in addresses if address]
        # The program itself has no name where net.core.bpf_jit_kallsyms is off.
        calls = [index for index, name in enumerate(names[:_TRACING_DEPTH]) if name.startswith(_CALLS_PROGRAM)]
        names = names[calls[-1] + 1:] if calls else names
        while names and names[0].startswith(('__traceiter_', 'trace_event_raw_event_', 'perf_trace_', 'bpf_prog_', 'trace_call_bpf',
                                             'perf_call_bpf', '__bpf_trace_', 'bpf_trace_run', 'kprobe_', 'ftrace_', 'kretprobe_',
                                             '__kretprobe_', 'aggr_pre_handler', 'opt_pre_handler', 'optimized_callback')):
            names.pop(0)
        return names


def offset(frame):
    """Return the offset of a frame within its function in bytes: 0x1c of 'f+0x1c [ext4]'; None where it has none."""
    found = re.match(r'[^ ]*\+0x([0-9a-f]+)', frame)
    return int(found.group(1), 16) if found else None
