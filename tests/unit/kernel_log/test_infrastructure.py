# SPDX-License-Identifier: GPL-3.0-or-later
"""Which functions are infrastructure: the tool that reads kernel source, and the table that it made."""

import base64
import importlib.util
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.nameset import NameSet, encode
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.infrastructure import is_infrastructure

ROOT = Path(__file__).resolve().parents[3]

# Declarations as kernel source has them; the bodies do not matter.
SOURCE = {
    "lib/string.c": """\
#ifndef __HAVE_ARCH_STRSCPY
/* not a function: foo(bar)
{ */
ssize_t
sized_strscpy(char *dest, const char *src, size_t count)
{
\tif (count == 0) {
\t\treturn -E2BIG;
\t}
}
EXPORT_SYMBOL(sized_strscpy);
#endif
""",
    "kernel/kthread.c": """\
struct kthread_create_info {
\tint node;
};
static __printf(4, 0)
struct task_struct *__kthread_create_on_node(int (*threadfn)(void *data),
\t\t\t\t\t     void *data, int node)
{
}
int kthread_stop(struct task_struct *k)
{
}
""",
    "mm/slub.c": """\
#define list_of_things(x) do { \\
\tx(); \\
} while (0)
void *kmem_cache_alloc_noprof(struct kmem_cache *s, gfp_t gfpflags)
{
}
static const struct sysfs_ops slab_sysfs_ops = {
\t.show = slab_attr_show,
};
""",
    "drivers/base/core.c": "void device_del(struct device *dev)\n{\n}\n",
    "drivers/base/firmware_loader/main.c": "int request_firmware(const struct firmware **p)\n{\n}\n",
    "drivers/usb/core/urb.c": "void usb_kill_urb(struct urb *urb)\n{\n}\n",
    # a header's function that stands for one that is left out
    "include/linux/usb.h": "static inline void usb_kill_urb(struct urb *urb) { }\n",
    "include/linux/seqlock.h": "static inline void __seqprop_assert(const seqcount_t *s)\n{\n}\n",
    # system calls and other macros that make functions
    "kernel/time/hrtimer.c": "SYSCALL_DEFINE2(nanosleep, struct timespec *, rqtp)\n{\n}\n",
    "arch/x86/entry/entry_64.S": "SYM_CODE_START(error_entry)\nSYM_CODE_END(error_entry)\n",
    "arch/x86/kernel/traps.c": "DEFINE_IDTENTRY(exc_divide_error)\n{\n}\n",
    # work of their own
    "drivers/net/acme.c": "static int acme_poll(struct napi_struct *napi)\n{\n}\n",
    "fs/super.c": "struct super_block *sget_fc(struct fs_context *fc)\n{\n}\n",
    "net/core/dev.c": "int dev_queue_xmit(struct sk_buff *skb)\n{\n}\n",
    "kernel/sched/core.c": "int wake_up_process(struct task_struct *p)\n{\n}\n",
    # a name that two have, and only one of them is infrastructure
    "kernel/irq/manage.c": "static int setup_percpu(void)\n{\n}\n",
    "drivers/acme.c": "static int setup_percpu(void)\n{\n}\n",
    # what is not the running kernel counts for nothing
    "lib/test_acme.c": "static int acme_selftest(void)\n{\n}\n",
    "arch/x86/boot/acme.c": "int kthread_stop(void)\n{\n}\n",
}
INFRASTRUCTURE = {
    "sized_strscpy", "__kthread_create_on_node", "kthread_stop", "kmem_cache_alloc_noprof", "device_del", "usb_kill_urb",
    "__seqprop_assert", "sys_nanosleep", "error_entry", "exc_divide_error",
}  # fmt: skip
OTHERS = {"request_firmware", "acme_poll", "sget_fc", "dev_queue_xmit", "wake_up_process", "setup_percpu"}


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("infrastructure", ROOT / "tools/infrastructure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path):
    for path, text in SOURCE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_what_is_defined_where(tool, tree):
    found = tool.index([tree])
    assert set(found) == INFRASTRUCTURE | OTHERS
    assert found["usb_kill_urb"] == {"drivers/usb/core/urb.c", "include/linux/usb.h"}
    assert found["kthread_stop"] == {"kernel/kthread.c"}
    assert set(tool.infrastructure(found)) == INFRASTRUCTURE


def test_the_shipped_table_is_what_the_tool_makes_of_source(tool, tree):
    made = tool.infrastructure(tool.index([tree]))
    assert {name for name in INFRASTRUCTURE | OTHERS if is_infrastructure(name)} == set(made)


def test_layers_of_an_allocation_are_where_memory_is_allocated_for_others(tool, tree):
    made = set(tool.infrastructure(tool.index([tree]), tool.LAYERS))
    assert {"kmem_cache_alloc_noprof", "sized_strscpy"} <= made
    assert made.isdisjoint({"kthread_stop", "usb_kill_urb", "request_firmware"})
    assert {name for name in INFRASTRUCTURE | OTHERS if stacks.is_layer(name)} == made


def test_what_headers_define_is_in_the_modules_that_call_it(tool):
    found = {
        "kzalloc": {"include/linux/slab.h"},
        "kfree": {"mm/slub.c"},
        "dma_map": {"kernel/dma/mapping.c", "include/linux/dma-mapping.h"},
    }
    assert tool.inlines(found, sorted(found)) == ["dma_map", "kzalloc"]
    scope = {}
    exec("INLINES = " + tool.rows(["kzalloc"]), scope)  # noqa: S102  the tool's own text
    assert "kzalloc" in NameSet(base64.urlsafe_b64decode(scope["INLINES"]))


def test_a_table_is_read_as_it_was_written(tool):
    names = [f"ksy_{number}" for number in range(3000)]
    scope = {}
    exec(tool.table(names), scope)  # noqa: S102  the tool's own text
    read = NameSet(base64.urlsafe_b64decode(scope["NAMES"]))
    assert len(read) == len(names) and all(name in read for name in names)
    assert "3000 kernel functions" in scope["__doc__"]


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_set_has_its_names_and_hardly_others(count):
    names = [f"ksy_{number}" for number in range(count)]
    read = NameSet(encode(names))
    assert all(name in read for name in names)
    assert sum(f"other_{number}" in read for number in range(20000)) <= 2
    assert len(encode(names)) <= 2.5 * count + 16


def test_hardly_any_other_name_is_taken_for_infrastructure():
    assert sum(is_infrastructure(f"acme_{number}_poll") for number in range(20000)) <= 10
