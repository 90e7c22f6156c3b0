# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of memleak, cut to the tracepoints that this kernel has. The text itself is GPL-2.0.

One address in SAMPLE is followed. The choice is a hash of the address, so that
the allocation and the free of an object are either both followed or both not,
and an allocation at an address that is still listed corrects a free that was
missed (counted as stale).
"""

_TEXT = """
struct live_t { u64 at_ns; u64 bytes; u64 call_site; s32 stack; u32 type; char comm[16]; };
struct site_t { u64 allocations; u64 frees; };
struct site_key_t { s32 stack; u32 type; u64 call_site; };
struct stack_t { u64 ip[DEPTH]; };
BPF_TABLE("stacktrace", int, struct stack_t, stacks, STACKS);
BPF_HASH(live, u64, struct live_t, OBJECTS);
BPF_HASH(sites, struct site_key_t, struct site_t, STACKS);
BPF_PERCPU_ARRAY(counts, u64, 8);

enum { SLAB = 0, PAGE = 1 };
enum { ALLOCATIONS = 0, FREES = 2, DROPPED = 4, STALE = 5, STACKLESS = 6 };

static inline void count(u32 what) {
  u64 *value = counts.lookup(&what);
  if (value)
    *value += 1;
}

static inline int followed(u64 key) {
  return !((((key ^ SALT) * 0x9E3779B97F4A7C15ULL) >> 40) & (SAMPLE - 1));
}

static inline int allocated(void *ctx, u64 key, u64 bytes, u64 call_site, u32 type) {
  struct live_t object = {};
  object.at_ns = bpf_ktime_get_ns();
  object.bytes = bytes;
  object.type = type;
  object.stack = stacks.get_stackid(ctx, 0);
  if (object.stack < 0) {
    object.stack = -1;
    object.call_site = call_site;
    count(STACKLESS);
  }
  bpf_get_current_comm(object.comm, sizeof(object.comm));
  count(ALLOCATIONS + type);
  if (live.lookup(&key))
    count(STALE);
  if (live.update(&key, &object)) {
    count(DROPPED);
    return 0;
  }
  struct site_key_t where = {};
  where.stack = object.stack;
  where.type = type;
  where.call_site = object.call_site;
  struct site_t none = {}, *site = sites.lookup_or_try_init(&where, &none);
  if (site)
    __sync_fetch_and_add(&site->allocations, 1);
  return 0;
}

static inline int freed(u64 key, u32 type) {
  struct live_t *object = live.lookup(&key);
  if (!object)
    return 0;
  struct site_key_t where = {};
  where.stack = object->stack;
  where.type = object->type;
  where.call_site = object->call_site;
  struct site_t *site = sites.lookup(&where);
  if (site)
    __sync_fetch_and_add(&site->frees, 1);
  count(FREES + type);
  live.delete(&key);
  return 0;
}
"""

_SLAB_ALLOC = """
int on_%(event)s(struct tracepoint__kmem__%(event)s *args) {
  u64 address = (u64)args->ptr;
  if (!gate_is_open() || !address || !followed(address >> 3))
    return 0;
  return allocated(args, address, args->bytes_alloc, (u64)args->call_site, SLAB);
}
"""

_SLAB_FREE = """
int on_%(event)s(struct tracepoint__kmem__%(event)s *args) {
  u64 address = (u64)args->ptr;
  if (!gate_is_open() || !address || !followed(address >> 3))
    return 0;
  return freed(address, SLAB);
}
"""

# A page frame number cannot be taken for an address of a slab object: those are above 2^63.
# Movable pages are user memory and page cache (__GFP_MOVABLE is 0x8 on every kernel from 4.19 to 6.18).
_PAGE = """
int on_mm_page_alloc(struct tracepoint__kmem__mm_page_alloc *args) {
  u64 frame = args->pfn;
  if (!gate_is_open() || (args->gfp_flags & 0x8) || frame == ~0ULL || !followed(frame))
    return 0;
  return allocated(args, frame, 4096ULL << args->order, 0, PAGE);
}
int on_mm_page_free(struct tracepoint__kmem__mm_page_free *args) {
  u64 frame = args->pfn;
  if (!gate_is_open() || !followed(frame))
    return 0;
  return freed(frame, PAGE);
}
"""

SLAB_ALLOCS = ('kmalloc', 'kmalloc_node', 'kmem_cache_alloc', 'kmem_cache_alloc_node')
SLAB_FREES = ('kfree', 'kmem_cache_free')
PAGE_EVENTS = ('mm_page_alloc', 'mm_page_free')

ALLOCATIONS, FREES, DROPPED, STALE, STACKLESS = 0, 2, 4, 5, 6
TYPES = ('slab', 'page')


def text(events, sample, salt, depth, objects=65536, stacks=16384):
    """Return the C text for the given kmem events.

    events: names out of SLAB_ALLOCS, SLAB_FREES and PAGE_EVENTS; sample: power of two;
    salt: int below 2^63, so that two scans do not follow the same addresses;
    depth: frames a stack; objects, stacks: entries of the maps.
    """
    parts = [_TEXT]
    parts += [_SLAB_ALLOC % {'event': event} for event in events if event in SLAB_ALLOCS]
    parts += [_SLAB_FREE % {'event': event} for event in events if event in SLAB_FREES]
    if 'mm_page_alloc' in events:
        parts.append(_PAGE)
    values = {'SAMPLE': '%dULL' % sample, 'SALT': '%dULL' % salt, 'DEPTH': depth, 'OBJECTS': objects, 'STACKS': stacks}
    return ''.join('#define %s %s\n' % item for item in sorted(values.items())) + ''.join(parts)
