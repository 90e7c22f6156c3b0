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
        # Containers, sockets, devices and objects are made for whoever wants one.
        (
            ["kmem_cache_alloc_lru_noprof+0x21e", "xas_alloc+0x9f", "xas_create+0x29b", "xas_store+0x58", "__xa_store+0xa6", "f+0x1 [m]"],
            ("f", "m"),
        ),
        (
            ["kmem_cache_alloc+0x1", "radix_tree_node_alloc.constprop.0+0x1", "idr_get_free+0x2", "idr_alloc_u32+0x3", "f+0x1 [m]"],
            ("f", "m"),
        ),
        (["__kmalloc+0x1", "sk_prot_alloc+0x2", "sk_alloc+0x3", "inet_create+0x4", "__sock_create+0x5"], ("inet_create", None)),
        (["__kmalloc_node+0x1", "kvmalloc_node+0x2", "alloc_netdev_mqs+0x3", "acme_probe+0x4 [acme]"], ("acme_probe", "acme")),
        (
            ["__alloc_pages+0x1", "__iommu_dma_alloc_noncontiguous+0x2", "iommu_dma_alloc+0x3", "dma_alloc_attrs+0x4", "f+0x1 [m]"],
            ("f", "m"),
        ),
        (["__kmalloc+0x1", "rhashtable_insert_slow+0x2", "f+0x1 [m]"], ("f", "m")),
        # From public reports of leaks: the driver is to blame, behind the device model, what headers define and its own cdev.
        (
            ["kmem_cache_alloc+0xe0", "__build_skb+0x2c", "__netdev_alloc_skb+0xd8", "ftgmac100_alloc_rx_buf+0x1"],
            ("ftgmac100_alloc_rx_buf", None),
        ),
        (
            ["__kmalloc+0x13c", "kmalloc+0x9 [rina_irati_core]", "generic_alloc+0x21 [rina_irati_core]"],
            ("generic_alloc", "rina_irati_core"),
        ),
        (
            ["kmem_cache_alloc_noprof+0x1e8", "radix_tree_node_alloc.constprop.0+0x86", "idr_get_free+0x237", "idr_alloc_u32+0x75"]
            + ["idr_alloc_cyclic+0x5b", "__kernfs_new_node+0x9e", "kernfs_new_node+0x56", "kernfs_create_dir_ns+0x2b"]
            + [
                "sysfs_create_dir_ns+0x84",
                "kobject_add_internal+0xbe",
                "kset_register+0x5e",
                "class_register+0xf1",
                "vinput_init+0x64 [vinput]",
            ],
            ("vinput_init", "vinput"),
        ),
        (["kmem_cache_alloc_trace+0x127", "cdev_alloc+0x2e", "init_fib_dev+0x57 [fibdrv]"], ("init_fib_dev", "fibdrv")),
        (["kmem_cache_alloc+0x1", "__alloc_skb+0x46", "skb_segment+0x354", "tcp_gso_segment+0xe8", "f+0x1"], ("tcp_gso_segment", None)),
        (["kzalloc.constprop.0+0x1 [m]", "f+0x1 [m]"], ("f", "m")),
        # These hold what they allocate themselves.
        (["kmem_cache_alloc+0x1", "alloc_inode+0x2", "new_inode+0x3", "ext4_create+0x4 [ext4]"], ("alloc_inode", None)),
        (["kmem_cache_alloc+0x1", "dup_task_struct+0x2", "copy_process+0x3"], ("dup_task_struct", None)),
        (["__kmalloc+0x1", "neigh_alloc+0x2", "___neigh_create+0x3"], ("neigh_alloc", None)),
        (["kmem_cache_alloc+0x1", "nf_conntrack_alloc+0x2 [nf_conntrack]"], ("nf_conntrack_alloc", "nf_conntrack")),
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
