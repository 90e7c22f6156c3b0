#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the tables of functions that are seldom to blame, from kernel source: of a kernel report, and of an allocation.

    tools/infrastructure.py SOURCE...             infrastructure; a SOURCE is an unpacked tree, or a linux-source-*.tar.xz or .bz2
    tools/infrastructure.py --layers SOURCE...    layers that allocate on behalf of whoever calls them
    tools/infrastructure.py --names ...           print the names instead

A function is of one of them by where it is defined: L(INFRASTRUCTURE) and L(LAYERS) are the one owner of that. A name counts when all
its definitions in all sources lie there. The shipped tables come from Debian's linux-source-5.10, -6.1, -6.12 and -7.3, and
infrastructure from Ubuntu's linux-source-4.4.0 and -4.15.0 too, because servers with such kernels run.
"""

from __future__ import annotations

import base64
import importlib.util
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "plugins" / "module_utils" / "_kernel_log" / "infrastructure_table.py"
LAYERS_TABLE = ROOT / "plugins" / "module_utils" / "_ebpf" / "layers_table.py"
NAMESET = ROOT / "plugins" / "module_utils" / "_core" / "nameset.py"

HEAD = '''# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of {count} kernel functions that are {what}, as a set; tools/infrastructure.py makes it from kernel source."""

'''

ARCHITECTURES = "x86|arm|arm64|riscv"

# Where infrastructure is defined: what code of any subsystem calls, and what carries a CPU to it.
INFRASTRUCTURE = (
    # algorithms and containers; not ciphers and codecs, which work for long on their own
    r"lib/(?!(?:842|bch|crypto|fonts|lz4|lzo|mpi|raid\w*|reed_solomon|xz|zlib\w*|zstd)/|decompress)",
    # allocators, and what checks them
    r"mm/(?:debug\w*|dmapool|failslab|kmemleak|maccess|mempolicy|mempool|nommu|page_alloc|page_ext|page_owner|page_frag_cache|page_poison\w*|percpu[\w-]*"
    r"|sla?b\w*|slob|slub|usercopy|util|vmalloc)\.[ch]",
    r"mm/(?:kasan|kfence|kmsan)/",
    # locks
    r"kernel/locking/|drivers/tty/tty_(?:ldsem|mutex)\.c",
    # reports, watchdogs, instrumentation
    r"kernel/(?:printk|kcsan)/",
    r"kernel/(?:context_tracking|extable|hung_task|jump_label|kallsyms|kcov|notifier|panic|stacktrace|static_call\w*|tracepoint|watchdog\w*)\.c",
    # deferred and timed work, other CPUs, interrupts
    r"kernel/(?:rcu|time|irq|entry)/",
    r"kernel/(?:async|cpu|irq_work|kthread|smp|smpboot|softirq|stop_machine|task_work|workqueue)\.c",
    r"kernel/sched/(?:completion|swait|wait|wait_bit)\.c",
    # hooks and messages that other code answers
    r"security/security\.c|net/netlink/(?:af_netlink|genetlink)\.c",
    # entry, exceptions and libraries of an architecture
    rf"arch/(?:{ARCHITECTURES})/(?:lib|entry)/",
    rf"arch/(?:{ARCHITECTURES})/kernel/(?:apic|cpu/mce|cpu/mcheck)/",
    rf"arch/(?:{ARCHITECTURES})/kernel/(?:alternative|apic|dumpstack|entry|exceptions|fault|ftrace|head|idt|irq|jump_label|kvm|mcount|nmi|paravirt"
    r"|process|smp|stacktrace|time|traps|tsc|unwind)[\w-]*\.[cS]",
    rf"arch/(?:{ARCHITECTURES})/mm/(?:extable|fault|highmem|ioremap|kasan|physaddr)[\w-]*\.c",
    # the device model, objects and their files
    r"drivers/base/(?!firmware_loader/)|fs/sysfs/|fs/proc/(?:generic|inode|root)\.c",
    # what the drivers and protocols of a bus or of the network share
    r"drivers/usb/core/(?:driver|message|urb|usb)\.c|net/core/(?:datagram|page_pool|skbuff|sock)\.c",
    # the page cache
    r"fs/buffer\.c|mm/(?:filemap|folio-compat|truncate)\.c",
    # headers of all of these
    r"include/asm-generic/|include/linux/(?:atomic|sched)/",
    r"include/linux/(?:atomic\w*|bit\w*|completion|cpumask|find|fortify-string|gfp|hash\w*|highmem\w*|hrtimer|idr|instrumented|interrupt"
    r"|irqflags|jiffies|k[acm]san\w*|kfence|klist|kobject|kref|kthread|list\w*|llist|lock\w*|mempolicy|mutex\w*|netlink|nodemask|page-flags"
    r"|pagemap|percpu[\w-]*|plist|preempt|printk|radix-tree|ratelimit|rbtree\w*|rcu\w*|refcount|rhashtable\w*|rtmutex|rwlock\w*|rwsem"
    r"|scatterlist|seqlock\w*|siphash|skbuff|slab|smp|sort|spinlock\w*|srcu\w*|string\w*|swait|sysfs|task_work|thread_info|timer\w*"
    r"|uaccess|uio|vmalloc|wait\w*|workqueue|ww_mutex|xarray)\.h",
    r"include/net/(?:netlink|genetlink|page_pool/\w+|sock)\.h",
)

# Where functions are defined that allocate on behalf of whoever calls them.
LAYERS = (
    # the allocators
    r"mm/(?:dmapool|internal|mempolicy|mempool|nommu|page_alloc|page_frag_cache|percpu[\w-]*|sla?b\w*|slob|slub|util|vmalloc)\.[ch]",
    # containers, strings and objects
    r"lib/(?:argv_split|assoc_array|bitmap|btree|bucket_locks|cpumask|debugobjects|generic-radix-tree|genalloc|idr|iov_iter|kasprintf|kfifo"
    r"|kobject\w*|list_lru|maple_tree|objagg|percpu[\w-]*|radix-tree|ref_tracker|rhashtable|sbitmap|scatterlist|sg_pool|stackdepot|string\w*"
    r"|xarray)\.c",
    r"fs/(?:anon_inodes|char_dev|file_table|proc/generic)\.c|fs/(?:debugfs|kernfs|sysfs)/|security/security\.c",
    # devices and their memory
    r"kernel/dma/|drivers/iommu/dma-iommu\.c|(?:\w+/)+devres\.c|drivers/base/(?:bus|class|component|core|dd|driver|map|platform\w*|property|swnode)\.c",
    # buffers and devices of the network, block requests
    r"net/core/(?:dev|gro|page_pool|skbuff|sock)\.c|block/bio[\w-]*\.c",
    # headers of all of these
    r"include/linux/(?:bio|bitmap|cpumask|device|dma-mapping|dmapool|genalloc|gfp|idr|kfifo|kobject|mempool|mm|percpu|radix-tree|rhashtable[\w-]*"
    r"|scatterlist|skbuff|slab|string\w*|vmalloc|xarray)\.h",
    r"include/net/(?:page_pool/\w+|page_pool|sock)\.h",
)

# What allocates pages of the page cache and of block devices' buffers, which the kernel gives back.
PAGE_CACHE = (r"mm/(?:filemap|folio-compat|readahead)\.c|fs/buffer\.c",)


def inside(rules: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of the paths that one of the rules matches."""
    return re.compile("|".join(f"(?:{rule})" for rule in rules))


# Not the running kernel: boot code, hypervisors' own, tools, examples, user space, other architectures, what is not Linux's own,
# and what the kernel tests itself with.
OTHER = re.compile(
    rf"arch/(?!(?:{ARCHITECTURES})/)|arch/\w+/(?:boot|purgatory|tools|kvm/hyp/nvhe)/"
    r"|(?:tools|scripts|samples|usr|Documentation|drivers/firmware/efi/libstub|ubuntu|zfs|spl)/"
    r"|.*/vdso(?:32|64)?/|.*(?:^|[/_-])k?(?:unit|tests?|selftests?)(?:[/_-].*)?(?:/|\.[chS]$)"
)

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
EXPORTED = re.compile(r"^EXPORT_\w*SYMBOL\w*\((\w+)", re.MULTILINE)
ASSEMBLED = re.compile(
    r"^\s*(?:SYM_\w*START\w*|SYM_\w*ALIAS\w*|SYM_INNER_LABEL\w*|ENTRY|WEAK|_GLOBAL\w*|LEAF|NESTED|idtentry\w*)\s*\(?\s*(\w+)"
    r"|^([A-Za-z_]\w*):",
    re.MULTILINE,
)
SYSCALL = re.compile(r"(COMPAT_)?SYSCALL_DEFINE\d?$")
# Words of a declaration that look like a call: attributes and sparse's annotations.
ANNOTATION = re.compile(
    r"__attribute__|__(?:acquires|acquires_shared|alias|aligned|alloc_size|assume_aligned|cond_acquires|cond_lock|context_unsafe|copy"
    r"|counted_by|diagnose_as|error|guarded_by|malloc|must_hold|must_hold_shared|no_context_analysis|no_sanitize|nocfi|nonstring|printf"
    r"|realloc_size|releases|releases_shared|scanf|section|target|warning)$"
)
BODY = re.compile(r"^\{|\)[ \t\w]*\{[^\n]*\}[ \t]*$", re.MULTILINE)


def declared(text: str) -> str | None:
    """Return the name of the function that a definition's declaration (all before its body) declares; None: of no function."""
    depth, name = 0, None
    for token in re.finditer(r"[A-Za-z_]\w*(?=\s*\()|[()]|[=\"]", text):
        word = token.group()
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif depth == 0 and word in ("=", '"'):
            return None
        elif depth == 0 and not ANNOTATION.match(word):
            name = name or word
    if name and re.match(r"[A-Z][A-Z0-9_]+$", name):  # a macro that makes a function
        argument = re.search(re.escape(name) + r"\s*\(\s*([A-Za-z_]\w*)", text)
        if argument is None:
            return None
        call = SYSCALL.match(name)
        return ("compat_sys_" if call and call.group(1) else "sys_" if call else "") + argument.group(1)
    return name


def definitions(path: str, text: str) -> Iterator[str]:
    """Yield the names of the functions that a source file (its path within the tree, its text) defines."""
    if path.endswith(".S"):
        yield from (opened or label for opened, label in ASSEMBLED.findall(text))
        yield from EXPORTED.findall(text)
        return
    if "{" not in text:
        return
    text = COMMENT.sub(" ", text)
    yield from EXPORTED.findall(text)
    for body in BODY.finditer(text):
        until = body.start() + (text[body.start()] == ")")
        # a declaration begins behind the last statement, body, directive or empty line
        low = max(0, until - 2000)
        ends = [(text.rfind(mark, low, until), len(mark)) for mark in (";\n", "}\n", "\n\n")]
        declaration = text[max(low if at < 0 else at + length for at, length in ends) : until]
        at = max(declaration.rfind("\n#"), declaration.find("#", 0, 1))
        if at >= 0:  # a macro goes on behind a backslash
            end = declaration.find("\n", at + 1)
            while end > 0 and declaration[end - 1] == "\\":
                end = declaration.find("\n", end + 1)
            declaration = declaration[end + 1 :] if end >= 0 else ""
        name = declared(declaration) if not declaration[:1].isspace() or declaration.lstrip()[:1] != "{" else None
        if name:
            yield name


def files(source: Path) -> Iterator[tuple[str, str]]:
    """Yield (path within the tree, text) of each file of a source that defines functions of the running kernel."""
    if source.is_dir():
        found = ((str(path.relative_to(source)), path.read_bytes) for path in source.rglob("*.[chS]") if path.is_file())
        yield from ((path, read().decode("utf-8", "replace")) for path, read in found if not OTHER.match(path))
        return
    with tarfile.open(source) as archive:
        for member in archive:
            path = member.name.split("/", 1)[-1]
            if member.isfile() and path.endswith((".c", ".h", ".S")) and not OTHER.match(path):
                yield path, archive.extractfile(member).read().decode("utf-8", "replace")  # type: ignore[union-attr]


def index(sources: Iterable[Path]) -> dict[str, set[str]]:
    """Return where each function is defined: paths by name."""
    found: dict[str, set[str]] = {}
    for source in sources:
        for path, text in files(source):
            for name in definitions(path, text):
                found.setdefault(name, set()).add(path)
    return found


def infrastructure(found: dict[str, set[str]], rules: Iterable[str] = INFRASTRUCTURE) -> list[str]:
    """Return the names, of an L(index), whose definitions all lie where one of the rules says, sorted.

    A header's definition of a function that a source file defines is what stands for it where a kernel is built without.
    """
    pattern = inside(rules)
    return sorted(
        name
        for name, paths in found.items()
        if all(pattern.match(path) for path in [path for path in paths if not path.startswith("include/linux/")] or paths)
    )


def nameset() -> ModuleType:
    """Return the shipped module that owns how the table is made and read."""
    spec = importlib.util.spec_from_file_location("nameset", NAMESET)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inlines(found: dict[str, set[str]], names: Iterable[str]) -> list[str]:
    """Return those of the names, of an L(index), that a header defines: compilers put such a function into each module that calls it."""
    return [name for name in names if any(path.startswith("include/") for path in found[name])]


def rows(names: list[str]) -> str:
    """Return names as the value of a constant of a shipped table."""
    text = base64.urlsafe_b64encode(nameset().encode(names)).decode()
    return "(\n%s\n)\n" % "\n".join(f"    {text[at : at + 128]!r}" for at in range(0, len(text), 128))


def table(names: list[str], what: str = "infrastructure") -> str:
    """Return the text of a shipped table of functions that are `what`."""
    return HEAD.format(count=len(names), what=what) + "NAMES = " + rows(names)


def layers_table(found: dict[str, set[str]], names: list[str]) -> str:
    """Return the text of the shipped table of layers: first those that are no L(inlines); last the functions of the page cache."""
    put = set(inlines(found, names))
    head = table([name for name in names if name not in put], "layers of an allocation") + "\nINLINES = " + rows(sorted(put))
    return head + "\nPAGE_CACHE = " + rows(infrastructure(found, PAGE_CACHE))


def main() -> None:
    options = {word for word in sys.argv[1:] if word in ("--names", "--layers")}
    sources = [Path(word) for word in sys.argv[1:] if word not in options]
    if not sources or any(not source.exists() for source in sources):
        raise SystemExit(__doc__)
    layers = "--layers" in options
    found = index(sources)
    names = infrastructure(found, LAYERS if layers else INFRASTRUCTURE)
    if "--names" in options:
        print("\n".join(names))
        return
    path = LAYERS_TABLE if layers else TABLE
    path.write_text(layers_table(found, names) if layers else table(names), encoding="ascii")
    print(f"{path.relative_to(ROOT)}: {len(names)} names")


if __name__ == "__main__":
    main()
