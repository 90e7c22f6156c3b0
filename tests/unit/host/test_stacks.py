# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is to blame for an allocation."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import headers, stacks


@pytest.mark.parametrize(
    ("stack", "blamed"),
    [
        (["__kmalloc_node_noprof+0x256", "load_msg+0x41", "do_msgsnd+0x8c"], ("load_msg", None)),
        (["kmem_cache_alloc+0x1", "my_leak.isra.0+0x20 [leaky]", "worker_thread+0x3"], ("my_leak", "leaky")),
        (["__alloc_pages+0x1", "alloc_pages+0x2", "__get_free_pages+0x3", "leak_page+0x4 [leaky]"], ("leak_page", "leaky")),
        (["allocate_slab+0x1", "___slab_alloc+0x2", "__slab_alloc.isra.0+0x2", "kmalloc_trace+0x3", "f.constprop.0+0x1"], ("f", None)),
        (["__kmalloc+0x1", "kvmalloc_node+0x2", "seq_read_iter+0x3"], ("seq_read_iter", None)),
        (["kmem_cache_alloc_node+0x1", "alloc_vmap_area+0x2", "__get_vm_area_node+0x3", "vmalloc+0x4", "f+0x1 [m]"], ("f", "m")),
        (["__kmalloc+0x1"], ("__kmalloc", None)),
        (["0xffffffffc0001234"], (None, None)),
        (["0xffffffffc0001234", "acme_poll+0x1 [acme]"], ("acme_poll", "acme")),
        ([], (None, None)),
    ],
)
def test_culprit_is_the_first_frame_that_does_not_allocate_for_others(stack, blamed):
    assert stacks.culprit(stack) == blamed


@pytest.mark.parametrize(
    ("release", "code"),
    [("6.1.0-25-amd64", 0x060100), ("5.10.209", 0x050AD1), ("4.19.325-generic", 0x0413FF), ("6.18.44-fc-v669", 0x06122C), ("odd", 0)],
)
def test_version_code(release, code):
    assert headers.version_code(release) == code
