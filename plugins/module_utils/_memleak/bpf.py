# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of memleak, cut to what this kernel has. The text itself is GPL-2.0.

Stage 1 follows one address in a few, without a call stack: a hash of the address decides, so that the allocation
and the free of an object are either both followed or both not. A counter by hash (`filter`) lets a free of what is not
followed pass at the price of one array read. An allocation at an address that is still listed corrects a free that
was missed (counted as stale). Stage 2 follows the call sites that user space suspects, with their call stacks.

Sampling masks are 2^n - 1 and nest: an object whose hash passes one passes every smaller one. Each object notes the mask that it
passed. A group (call site, cache, call stack) of which `cap` objects are followed doubles its own mask: from then on an object
counts only if its hash passes that too, and it stands for 1 + the larger of both masks. So the table of survivors never
fills with one call site, whatever its rate, and all that counts of a group at any time has been chosen alike.
"""

import collections

SLOTS = 32  # parts of the window; at least half of them are in use
OBJECTS, GROUPS, STACKS = 65536, 4096, 8192
SUSPECTS, FILTER = 1024, 65536
LEAST_CAP = 64  # objects of one group that are followed, where the table has little room
BULK_FOLLOWED = 32  # objects of one bulk allocation or free, as many as a function may call itself; of allocations 8 are chosen on average
FREE_TURN, ALLOC_TURN, PAGE_TURN = 0, 1, 2  # whose turn it is to take an object of the batch
SPLIT_ORDER = 4  # blocks of up to 2^4 pages are followed when they are given back in pieces
PAGE_STRUCT_BYTES = 64  # of struct page, x86_64

SLAB, PAGE, PERCPU, VMALLOC = 0, 1, 2, 3
TYPES = ('slab', 'page', 'percpu', 'vmalloc')
FOLLOWED, DROPPED, STALE, STACKLESS, SPLIT, GROUPLESS, ADDED, REMOVED = 0, 1, 2, 3, 4, 5, 6, 7

_TEXT = """
struct config_t {
  u64 opened_ns;
  u64 settle_ns;
  u64 size;
  u32 shift;
  u32 slab_mask;
  u32 page_mask;
  u32 page_passes;
  u32 suspect_mask;
  u32 suspects;
  u32 stacks;
  u32 cap;
  u32 splits;
  u32 trial;
};
struct live_t {
  u64 at_ns;
  u64 bytes;
  u64 site;
  u64 cache;
  u64 stack;
  u16 type;
  u16 accounted;
  u32 mask;
  u32 chosen;
  u32 tgid;
  char comm[16];
};
struct group_key_t {
  u64 site;
  u64 cache;
  u64 stack;
  u32 type;
  u32 unused;
};
struct group_t {
  u64 allocations;
  u64 frees;
  u64 old_frees;
  u64 dropped;
  u32 mask;
  s32 followed;
  u64 allocated_bytes[SLOTS];
  u64 freed_bytes[SLOTS];
  u32 allocated[SLOTS];
  u32 freed[SLOTS];
};
struct cache_t {
  char name[32];
  u32 size;
  u32 flags;
};
struct stack_t {
  u64 ip[DEPTH];
};
BPF_HASH(stacks, u64, struct stack_t, STACKS);
BPF_HASH(live, u64, struct live_t, OBJECTS);
BPF_HASH(groups, struct group_key_t, struct group_t, GROUPS);
BPF_HASH(caches, u64, struct cache_t, 1024);
BPF_ARRAY(config, struct config_t, 1);
BPF_ARRAY(nothing, struct group_t, 1);
BPF_ARRAY(overflow, u64, 2);
BPF_ARRAY(filter, u32, FILTER);
BPF_ARRAY(suspects, u64, SUSPECTS);
BPF_PERCPU_ARRAY(counts, u64, 8);
BPF_PERCPU_ARRAY(walks, struct stack_t, 4);
BPF_PERCPU_ARRAY(nested, u32, 1);

static inline void count(u32 what) {
  u64 *value = counts.lookup(&what);
  if (value)
    *value += 1;
}

/* In a trial the probe looks at stacks of its own allocations, before the window opens. */
static inline struct config_t *settings(void) {
  int zero = 0;
  struct config_t *with = config.lookup(&zero);
  return with && (gate_is_open() || with->trial) ? with : 0;
}

/* Two rounds: objects of a slab lie at equal distances, and after one multiplication whole runs of them pass a mask or fail it. */
static inline u64 mixed(u64 key) {
  u64 hash = (key ^ SALT) * 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 32;
  return hash * 0xD6E8FEB86659FD93ULL;
}

static inline u32 *listed(u64 hash) {
  u32 index = (hash >> 47) & (FILTER - 1);
  return filter.lookup(&index);
}

static inline u32 slot_of(struct config_t *with, u64 at_ns) {
  u64 slot = (at_ns - with->opened_ns) >> with->shift;
  return slot < SLOTS ? slot : SLOTS - 1;
}

static inline void note_free(struct config_t *with, struct group_t *group, u64 allocated_ns, u64 bytes, u32 weight, int whole) {
  u64 now_ns = bpf_ktime_get_ns();
  u32 slot = slot_of(with, now_ns) & (SLOTS - 1);
  __sync_fetch_and_add(&group->freed_bytes[slot], bytes * weight);
  if (now_ns - allocated_ns > with->settle_ns)
    __sync_fetch_and_add(&group->old_frees, bytes * weight);
  if (!whole)
    return;
  slot = slot_of(with, allocated_ns) & (SLOTS - 1);
  __sync_fetch_and_add(&group->freed[slot], weight);
  __sync_fetch_and_add(&group->frees, weight);
}

/* bytes: how much is given back of what was allocated; 0: all of it. */
static inline int retire(struct config_t *with, u64 key, u32 *filtered, u64 bytes) {
  struct live_t *object = live.lookup(&key);
  if (!object)
    return 0;
  struct group_key_t where = {};
  where.site = object->site;
  where.cache = object->cache;
  where.stack = object->stack;
  where.type = object->type;
  u64 allocated_ns = object->at_ns, held = object->bytes;
  u32 mask = object->mask, chosen = object->chosen;
  int whole = !bytes || bytes >= held;
  if (whole) {
    if (live.delete(&key))
      return 0;
    __sync_fetch_and_add(filtered, -1);
    count(REMOVED);
    bytes = held;
  } else {
    __sync_fetch_and_add(&object->bytes, -bytes);
    count(SPLIT);
  }
  count(FOLLOWED);
  struct group_t *group = groups.lookup(&where);
  if (!group)
    return 0;
  if (chosen & group->mask)
    return 0; /* left out when the group's mask rose */
  mask |= group->mask;
  if (whole && group->followed > 0)
    __sync_fetch_and_add(&group->followed, -1);
  note_free(with, group, allocated_ns, bytes, mask + 1, whole);
  return 0;
}

static inline int freed(struct config_t *with, u64 key, u64 bytes) {
  u32 *filtered = listed(mixed(key));
  if (!filtered || !*filtered)
    return 0;
  return retire(with, key, filtered, bytes);
}

static inline struct group_t *group_of(struct group_key_t *where) {
  struct group_t *group = groups.lookup(where);
  if (group)
    return group;
  int zero = 0;
  struct group_t *none = nothing.lookup(&zero);
  if (none)
    group = groups.lookup_or_try_init(where, none);
  if (!group)
    count(GROUPLESS);
  return group;
}

/* What lies outwards of an interrupt's entry was interrupted, and has no part in the allocation. */
static inline int is_boundary(u64 ip) {
  return BOUNDARIES;
}

/* A number for the call stack, cut at the interrupt's entry; 0: none. An interrupt may come in the midst of it. */
static inline u64 stack_of(void *ctx) {
  u32 zero = 0, turn = 0;
  u32 *depth = nested.lookup(&zero);
  if (!depth)
    return 0;
  turn = *depth & 3;
  *depth += 1;
  struct stack_t *walked = walks.lookup(&turn);
  u64 hash = 0;
  int got = walked ? bpf_get_stack(ctx, walked->ip, sizeof(walked->ip), 0) : 0;
  if (walked && got >= 8) {
    int within = 1;
    hash = SALT;
#pragma unroll
    for (int index = 0; index < DEPTH; index++) {
      u64 ip = index * 8 < got && within ? walked->ip[index] : 0;
      walked->ip[index] = ip;
      hash = (hash ^ ip) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 29;
      if (is_boundary(ip))
        within = 0;
    }
    hash |= 1;
    if (!stacks.lookup(&hash) && stacks.update(&hash, walked))
      hash = 0;
  }
  *depth -= 1;
  return hash;
}

/* stack: its number where it is known already, 0: it is taken here. */
static inline int follow(void *ctx, struct config_t *with, u64 key, u64 hash, u64 bytes, u64 site, u64 cache, u32 type, u32 mask,
                         int with_stack, u64 stack, u32 gfp) {
  if (with->trial) {
    if (with->trial == bpf_get_current_pid_tgid() >> 32)
      stack_of(ctx);
    return 0;
  }
  u32 *filtered = listed(hash), chosen = hash >> 40;
  if (!filtered)
    return 0;
  struct live_t object = {};
  struct group_key_t where = {};
  where.site = site;
  where.cache = cache;
  where.type = type;
  count(FOLLOWED);
  if (with_stack) {
    where.stack = stack ? stack : stack_of(ctx);
    if (!where.stack)
      count(STACKLESS);
    bpf_get_current_comm(object.comm, sizeof(object.comm));
  }
  struct group_t *group = group_of(&where);
  if (!group)
    return 0;
  u32 common = group->mask;
  if (group->followed >= (s32)with->cap && common < MOST_MASK) {
    common = (common | mask) * 2 + 1;
    group->mask = common;
    group->followed = (u32)group->followed >> 1;
  }
  if (chosen & common)
    return 0;
  mask |= common;
  object.at_ns = bpf_ktime_get_ns();
  object.bytes = bytes;
  object.site = site;
  object.cache = cache;
  object.stack = where.stack;
  object.type = type;
  object.accounted = (gfp & GFP_ACCOUNT) != 0;
  object.tgid = bpf_get_current_pid_tgid() >> 32;
  object.mask = mask;
  object.chosen = chosen;
  u64 weight = mask + 1;
  if (live.update(&key, &object)) {
    int zero = 0, one = 1;
    u64 *first = overflow.lookup(&zero), *last = overflow.lookup(&one);
    if (first && !*first)
      *first = object.at_ns;
    if (last)
      *last = object.at_ns;
    __sync_fetch_and_add(&group->dropped, weight);
    count(DROPPED);
    return 0;
  }
  __sync_fetch_and_add(filtered, 1);
  count(ADDED);
  __sync_fetch_and_add(&group->followed, 1);
  u32 slot = slot_of(with, object.at_ns) & (SLOTS - 1);
  __sync_fetch_and_add(&group->allocated[slot], weight);
  __sync_fetch_and_add(&group->allocated_bytes[slot], bytes * weight);
  __sync_fetch_and_add(&group->allocations, weight);
  return 0;
}

static inline int is_suspect(u64 site) {
  u64 hash = site * 0x9E3779B97F4A7C15ULL;
  u32 first = hash >> 54, second = (hash >> 44) & (SUSPECTS - 1);
  u64 *found = suspects.lookup(&first), *other = suspects.lookup(&second);
  return (found && *found == site) || (other && *other == site);
}

/* An object at an address that is listed: its free was not seen. */
static inline void correct(struct config_t *with, u64 key, u64 hash) {
  u32 *filtered = listed(hash);
  if (filtered && *filtered && live.lookup(&key)) {
    count(STALE);
    retire(with, key, filtered, 0);
  }
}

/* Large objects are fewer: of each 16 KiB one object is followed at the default. */
static inline u32 slab_mask(struct config_t *with, u64 bytes) {
  if (bytes <= 1024)
    return with->slab_mask;
  if (bytes <= 2048)
    return with->slab_mask >> 1;
  if (bytes <= 4096)
    return with->slab_mask >> 2;
  if (bytes <= 8192)
    return with->slab_mask >> 3;
  return with->slab_mask >> 4;
}

static inline int in_kernel(u64 address) {
  return (address >> 63) && address < -4096ULL;
}

/* The size of an object stands in its cache, and is asked for where the object is followed only. */
static inline u32 size_of(u64 cache) {
  struct cache_t *known = caches.lookup(&cache);
  if (known)
    return known->size;
  struct cache_t named = {};
  u64 name = 0;
  bpf_probe_read_kernel(&named.size, sizeof(named.size), (void *)(cache + CACHE_SIZE_AT));
  bpf_probe_read_kernel(&named.flags, sizeof(named.flags), (void *)(cache + CACHE_FLAGS_AT));
  bpf_probe_read_kernel(&name, sizeof(name), (void *)(cache + CACHE_NAME_AT));
  bpf_probe_read_kernel_str(named.name, sizeof(named.name), (void *)name);
  caches.update(&cache, &named);
  return named.size;
}

/* cache: 0 where bytes are known. */
static inline int slab_allocated(void *ctx, struct config_t *with, u64 address, u64 bytes, u64 site, u64 cache, u32 gfp) {
  u64 hash = mixed(address);
  correct(with, address, hash);
  u32 mask = cache ? with->slab_mask : slab_mask(with, bytes);
  int with_stack = with->stacks;
  if (!with_stack && with->suspects && is_suspect(site)) {
    mask &= with->suspect_mask;
    with_stack = 1;
  }
  if ((hash >> 40) & mask)
    return 0;
  if (cache)
    bytes = size_of(cache);
  if (with->size && bytes != with->size)
    return 0;
  return follow(ctx, with, address, hash, bytes, site, cache, SLAB, mask, with_stack, 0, gfp);
}
"""

_KMALLOC = """
int %(name)s(%(context)s) {
  struct config_t *with = settings();
  u64 address = %(ptr)s;
  if (!with || !in_kernel(address))
    return 0;
  return slab_allocated(ctx, with, address, %(bytes)s, %(site)s, 0, %(gfp)s);
}
"""

# From 6.1: the third argument of kmalloc is a size, that of kmem_cache_alloc the cache.
_SLAB_ALLOC = """
int on_slab_alloc(struct bpf_raw_tracepoint_args *ctx) {
  struct config_t *with = settings();
  u64 address = ctx->args[1], cache = ctx->args[2], bytes = 0;
  u32 gfp = ctx->args[3];
  if (!with || !in_kernel(address))
    return 0;
  if (!in_kernel(cache)) {
    cache = 0;
    bytes = ctx->args[3];
    gfp = ctx->args[4];
  }
  return slab_allocated(ctx, with, address, bytes, ctx->args[0], cache, gfp);
}
"""

_FREE = """
int %(name)s(%(context)s) {
  struct config_t *with = settings();
  u64 address = %(ptr)s;
  if (!with || !address)
    return 0;
  return freed(with, address, 0);
}
"""

# Movable pages are user memory and page cache (__GFP_MOVABLE is 0x8 on every kernel from 4.19 to 6.18).
_PAGE_ALLOC = """
int %(name)s(%(context)s) {
  struct config_t *with = settings();
  u64 page = %(page)s;
  if (!with || !page || page == -1ULL)
    return 0;
  u32 gfp = %(gfp)s, order = %(order)s;
  if (gfp & 0x8)
    return 0;
  u64 hash = mixed(page);
  correct(with, page, hash);
  u32 mask = order < 2 ? with->page_mask >> order : with->page_mask >> 4;
  if ((hash >> 40) & mask)
    return 0;
  return follow(ctx, with, page, hash, 4096ULL << (order & 31), ((u64)gfp << 8) | order, 0, PAGE, mask, 1, 0, gfp);
}
"""
# page_passes is the loosest mask that single pages were ever chosen by; most pages are user memory and end here.
# A block may be given back in pieces (split_page, alloc_pages_exact): these are looked for once user space follows such a block.
_PAGE_FREE = """
int %(name)s(%(context)s) {
  struct config_t *with = settings();
  u64 page = %(page)s;
  u32 order = %(order)s;
  if (!with)
    return 0;
  if (with->splits && order < SPLIT_ORDER) {
    u64 bytes = 4096ULL << order;
#pragma unroll
    for (int level = 1; level <= SPLIT_ORDER; level++) {
      u64 head = page & ~(((u64)PAGE_STEP << level) - 1);
      u32 *filtered = listed(mixed(head));
      if (head == page || level <= order || !filtered || !*filtered)
        continue;
      struct live_t *block = live.lookup(&head);
      if (block && block->type == PAGE && (block->site & 0xff) >= level)
        return retire(with, head, filtered, bytes);
    }
  }
  if (!order && ((mixed(page) >> 40) & with->page_passes))
    return 0;
  return freed(with, page, 4096ULL << (order & 31));
}
"""

# A per-CPU pointer is an offset: no other key looks like it.
_PERCPU = """
int on_percpu_alloc_percpu(struct tracepoint__percpu__percpu_alloc_percpu *args) {
  struct config_t *with = settings();
  u64 pointer = (u64)args->ptr;
  if (!with || !pointer)
    return 0;
  u64 hash = mixed(pointer);
  correct(with, pointer, hash);
  return follow(args, with, pointer, hash, args->size * CPUS, 0, 0, PERCPU, 0, 1, 0, 0);
}
int on_percpu_free_percpu(struct tracepoint__percpu__percpu_free_percpu *args) {
  struct config_t *with = settings();
  u64 pointer = (u64)args->ptr;
  if (!with || !pointer)
    return 0;
  return freed(with, pointer, 0);
}
"""

# Which areas are held is read from /proc/vmallocinfo; the call stack behind it comes from here.
_VMALLOC = """
static inline int area_allocated(void *ctx, u64 bytes) {
  struct config_t *with = settings();
  if (!with || with->trial)
    return 0;
  struct group_key_t where = {};
  where.type = VMALLOC;
  where.stack = stack_of(ctx);
  if (!where.stack)
    return 0;
  int known = groups.lookup(&where) != 0;
  struct group_t *group = group_of(&where);
  if (!group)
    return 0;
  if (!known) {
    u64 key = -1ULL - (where.stack >> 16);
    struct live_t who = {};
    who.type = VMALLOC;
    who.stack = where.stack;
    who.tgid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(who.comm, sizeof(who.comm));
    live.update(&key, &who);
  }
  u32 slot = slot_of(with, bpf_ktime_get_ns()) & (SLOTS - 1);
  __sync_fetch_and_add(&group->allocated[slot], 1);
  __sync_fetch_and_add(&group->allocated_bytes[slot], bytes);
  __sync_fetch_and_add(&group->allocations, 1);
  return 0;
}
"""
_VMALLOC_EVENT = """
int on_alloc_vmap_area(struct tracepoint__vmalloc__alloc_vmap_area *args) {
  return args->failed ? 0 : area_allocated(args, args->size);
}
"""
_VMALLOC_PROBE = """
int on_vmalloc_node_range(struct pt_regs *ctx) {
  return area_allocated(ctx, ctx->di);
}
"""

# kfree_rcu and others free many objects at once, past the tracepoints. A loop without branches picks those that count, and a
# function that calls itself (a tail call) takes them one by one: the verifiers of kernels to 6.1 give up on loops with branches.
_BATCH = """
struct batch_t {
  u32 count;
  u32 next;
  u32 mask;
  u32 unused;
  u64 cache;
  u64 site;
  u64 stack;
  u64 keys[64];
};
BPF_PERCPU_ARRAY(batches, struct batch_t, 1);
BPF_PROG_ARRAY(turns, 4);
struct bulk_t {
  u64 cache;
  u64 size;
  u64 list;
  u64 site;
  u64 stack;
};

static inline u32 is_set(u64 value) {
  return (value | -value) >> 63;
}

static inline struct batch_t *batch_of(void) {
  int zero = 0;
  return batches.lookup(&zero);
}

/* The compiler must not count down from an unknown number instead: verifiers before 6.8 do not see that such a loop ends. */
#define COUNTED(index) asm volatile("" : "+r"(index))

/* The next object of the batch; 0: there is none. */
static inline u64 taken(struct batch_t *batch) {
  u32 index = batch->next;
  if (index >= batch->count || index >= BULK_FOLLOWED)
    return 0;
  batch->next = index + 1;
  return batch->keys[index & 63];
}
"""
_BULK_FREE = """
int on_free_bulk(struct pt_regs *ctx) {
  struct config_t *with = settings();
  struct batch_t *batch = batch_of();
  if (!with || !batch)
    return 0;
  u64 size = ctx->si, list = ctx->dx, address = 0;
  batch->count = batch->next = 0;
  for (u64 index = 0; index < 512; index++) {
    COUNTED(index);
    if (index >= size)
      break;
    bpf_probe_read_kernel(&address, sizeof(address), (void *)(list + index * 8));
    u32 *filtered = listed(mixed(address));
    if (!filtered)
      return 0;
    batch->keys[batch->count & 63] = address;
    batch->count += is_set(*filtered);
  }
  if (batch->count)
    turns.call(ctx, FREE_TURN);
  return 0;
}
int on_free_turn(struct pt_regs *ctx) {
  struct config_t *with = settings();
  struct batch_t *batch = batch_of();
  if (!with || !batch)
    return 0;
  u64 key = taken(batch);
  if (!key)
    return 0;
  freed(with, key, 0);
  turns.call(ctx, FREE_TURN);
  return 0;
}
"""
# Chosen by a hash of the address, like all others, and by a mask that leaves a few of each call on average. The call stack is taken at
# the entry: at the return kernels before 5.16 cannot walk it, because the probe of the return stands in the place of the caller.
_BULK_ALLOC = """
BPF_HASH(%(calls)s, u64, struct bulk_t, 1024);
int %(name)s(struct pt_regs *ctx) {
  u64 task = bpf_get_current_pid_tgid();
  struct bulk_t call = {};
  struct config_t *with = settings();
  if (!with || with->trial)
    return 0;
  call.cache = %(cache)s;
  call.size = %(size)s;
  call.list = %(list)s;
  bpf_probe_read_kernel(&call.site, sizeof(call.site), (void *)ctx->sp);
  if (%(stacks)s)
    call.stack = stack_of(ctx);
  %(calls)s.update(&task, &call);
  return 0;
}
int %(name)s_done(struct pt_regs *ctx) {
  u64 task = bpf_get_current_pid_tgid(), address = 0;
  struct bulk_t *found = %(calls)s.lookup(&task);
  if (!found)
    return 0;
  struct bulk_t call = *found;
  %(calls)s.delete(&task);
  struct config_t *with = settings();
  struct batch_t *batch = batch_of();
  if (!with || with->trial || !batch || !ctx->ax)
    return 0;
  u64 size = %(done)s;
  u32 mask = %(mask)s;
  mask |= size > 128 ? 31 : size > 64 ? 15 : size > 32 ? 7 : size > 16 ? 3 : size > 8 ? 1 : 0;
  batch->count = batch->next = 0;
  batch->mask = mask;
  batch->cache = call.cache;
  batch->site = call.site;
  batch->stack = call.stack;
  for (u64 index = 0; index < 256; index++) {
    COUNTED(index);
    if (index >= size)
      break;
    bpf_probe_read_kernel(&address, sizeof(address), (void *)(call.list + index * 8));
    batch->keys[batch->count & 63] = address;
    batch->count += 1 - is_set(((mixed(address) >> 40) & mask) | (1 - (address >> 63)));
  }
  if (batch->count)
    turns.call(ctx, %(turn)s);
  return 0;
}
int %(name)s_turn(struct pt_regs *ctx) {
  struct config_t *with = settings();
  struct batch_t *batch = batch_of();
  if (!with || !batch)
    return 0;
  u64 key = taken(batch);
  if (!key)
    return 0;
  u64 hash = mixed(key);
  correct(with, key, hash);
  %(follow)s
  turns.call(ctx, %(turn)s);
  return 0;
}
"""

# How a function is attached: at 'raw:kmalloc', 'tracepoint:kmem:kmalloc', 'kprobe:name', 'kretprobe:name' or, to be called by others
# and itself, 'turn:0'. One whose text
# is empty has been seen already.
# group: what is not seen when the kernel refuses it; '': it must be had.
Function = collections.namedtuple('Function', 'at name text group')
Function.__new__.__defaults__ = ('',)

BULK_FREES, BULK_ALLOCATIONS, BULK_PAGES = 'frees in bulk', 'slab allocations in bulk', 'pages allocated in bulk'

_RAW = 'struct bpf_raw_tracepoint_args *ctx'


def _raw(events, name, text, **values):
    """One function for several raw tracepoints with the same arguments."""
    filled = text % dict(values, name=name, context=_RAW)
    return [Function('raw:' + event, name, '' if number else filled) for number, event in enumerate(events)]


def _ordinary(events, text, **values):
    """A function for each tracepoint, whose layout bcc takes from its name."""
    return [Function('tracepoint:kmem:' + event, 'on_' + event,
                     text % dict(values, name='on_' + event, context='struct tracepoint__kmem__%s *ctx' % event)) for event in events]


def frees(raw):
    """Return the Functions of the frees: to be attached first, as an allocation whose free is not seen looks like a leak."""
    events = ('kfree', 'kmem_cache_free')
    return _raw(events, 'on_free', _FREE, ptr='ctx->args[1]') if raw else _ordinary(events, _FREE, ptr='(u64)ctx->ptr')


def slab(layout, nodes):
    """Return the Functions of slab allocations.

    layout: 'cache' (raw; the cache is the third argument of kmem_cache_alloc, from 6.1), 'sizes' (raw; the size is, to 5.18)
    or 'fields' (ordinary); nodes: whether kmalloc_node and kmem_cache_alloc_node are tracepoints of their own (to 6.0).
    """
    events = ('kmalloc', 'kmem_cache_alloc') + (('kmalloc_node', 'kmem_cache_alloc_node') if nodes else ())
    if layout == 'fields':
        return _ordinary(events, _KMALLOC, ptr='(u64)ctx->ptr', bytes='ctx->bytes_alloc', site='(u64)ctx->call_site', gfp='ctx->gfp_flags')
    if layout == 'sizes':
        return _raw(events, 'on_slab_alloc', _KMALLOC, ptr='ctx->args[1]', bytes='ctx->args[3]', site='ctx->args[0]', gfp='ctx->args[4]')
    return _raw(events, 'on_slab_alloc', _SLAB_ALLOC)


def bulk_frees():
    """Return the Functions of frees of many slab objects at once; the kernel needs bounded loops (5.3)."""
    return [Function('kprobe:kmem_cache_free_bulk', 'on_free_bulk', _BULK_FREE, BULK_FREES),
            Function('turn:%d' % FREE_TURN, 'on_free_turn', '', BULK_FREES)]


def _bulk_allocation(function, name, turn, group, **values):
    text = _BULK_ALLOC % dict(values, name=name, calls=name + '_calls', turn=turn)
    # The one that is attached last is called first: while the caller's address has not been replaced by the probe of the return.
    return [Function('turn:%d' % turn, name + '_turn', text, group), Function('kretprobe:' + function, name + '_done', '', group),
            Function('kprobe:' + function, name, '', group)]


def bulk_allocations():
    """Return the Functions of allocations of many slab objects at once: kmem_cache_alloc_bulk(cache, flags, size, list)."""
    stacks = '(with->stacks || (with->suspects && is_suspect(%s)))'
    size = 'size_of(batch->cache)'
    follow = ('follow(ctx, with, key, hash, %s, batch->site, batch->cache, SLAB, batch->mask,\n         %s, batch->stack, 0);'
              % (size, stacks % 'batch->site'))
    return _bulk_allocation('kmem_cache_alloc_bulk', 'on_alloc_bulk', ALLOC_TURN, BULK_ALLOCATIONS, cache='ctx->di', size='ctx->dx',
                            list='ctx->cx', done='call.size', mask=stacks % 'call.site' + ' ? with->suspect_mask : with->slab_mask',
                            follow=follow, stacks=stacks % 'call.site')


def bulk_pages(function, array):
    """Return the Functions of the page allocator's way to many pages at once, which has no tracepoint (5.13).

    function: its name; array: the register of its argument page_array.
    """
    follow = ('if (!(batch->cache & 0x8))\n    follow(ctx, with, key, hash, 4096, (u64)(u32)batch->cache << 8, 0, PAGE, batch->mask, 1, '
              'batch->stack, batch->cache);')
    return _bulk_allocation(function, 'on_page_bulk', PAGE_TURN, BULK_PAGES, cache='(u32)ctx->di', size='ctx->cx', list=array,
                            done='ctx->ax', mask='with->page_mask', follow=follow, stacks='!(call.cache & 0x8)')


def pages(raw):
    """Return the Functions of page allocation and free."""
    if raw:
        return (_raw(('mm_page_free',), 'on_mm_page_free', _PAGE_FREE, page='ctx->args[0]', order='ctx->args[1]')
                + _raw(('mm_page_alloc',), 'on_mm_page_alloc', _PAGE_ALLOC, page='ctx->args[0]', order='ctx->args[1]', gfp='ctx->args[2]'))
    return (_ordinary(('mm_page_free',), _PAGE_FREE, page='ctx->pfn', order='ctx->order')
            + _ordinary(('mm_page_alloc',), _PAGE_ALLOC, page='ctx->pfn', order='ctx->order', gfp='ctx->gfp_flags'))


def percpu():
    """Return the Functions of per-CPU memory."""
    return [Function('tracepoint:percpu:percpu_free_percpu', 'on_percpu_free_percpu', _PERCPU),
            Function('tracepoint:percpu:percpu_alloc_percpu', 'on_percpu_alloc_percpu', '')]


def vmalloc(function):
    """Return the Functions that see vmalloc areas made; function: the kernel's to probe, None: it has the tracepoint (6.3)."""
    if function is None:
        return [Function('tracepoint:vmalloc:alloc_vmap_area', 'on_alloc_vmap_area', _VMALLOC + _VMALLOC_EVENT)]
    return [Function('kprobe:' + function, 'on_vmalloc_node_range', _VMALLOC + _VMALLOC_PROBE)]


def text(functions, salt, depth, cpus, cache_offsets, boundaries=(), account=0):
    """Return the C text of these functions.

    salt: int below 2^63, so that two scans do not follow the same addresses; depth: frames a stack; cpus: possible ones;
    cache_offsets: (of the name, of the size, of the flags) in bytes within struct kmem_cache, None when no function reads them;
    boundaries: [(first address, the one after the last)] of the kernel's code that enters interrupts; account: the flag of
    an allocation that is charged to a cgroup, 0: not known.
    """
    name_at, size_at, flags_at = cache_offsets or (0, 0, 0)
    values = {'SALT': '%dULL' % salt, 'DEPTH': depth, 'OBJECTS': OBJECTS, 'GROUPS': GROUPS, 'STACKS': STACKS, 'SUSPECTS': SUSPECTS,
              'FILTER': FILTER, 'SLOTS': SLOTS, 'CPUS': cpus, 'CACHE_NAME_AT': name_at, 'CACHE_SIZE_AT': size_at,
              'CACHE_FLAGS_AT': flags_at, 'GFP_ACCOUNT': '0x%xU' % account,
              'SLAB': SLAB, 'PAGE': PAGE, 'PERCPU': PERCPU, 'VMALLOC': VMALLOC, 'FOLLOWED': FOLLOWED, 'DROPPED': DROPPED, 'STALE': STALE,
              'STACKLESS': STACKLESS, 'BULK_FOLLOWED': BULK_FOLLOWED, 'SPLIT': SPLIT, 'GROUPLESS': GROUPLESS}
    raw = any(function.at == 'raw:mm_page_free' for function in functions)
    values['PAGE_STEP'] = PAGE_STRUCT_BYTES if raw else 1  # a page is a struct page there, a number here
    values['SPLIT_ORDER'], values['MOST_MASK'] = SPLIT_ORDER, '0x3fffffU'
    values['ADDED'], values['REMOVED'], values['FREE_TURN'] = ADDED, REMOVED, FREE_TURN
    values['BOUNDARIES'] = ' || '.join('ip - 0x%xULL < 0x%xULL' % (first, end - first) for first, end in boundaries) or '0'
    defined = ''.join('#define %s %s\n' % item for item in sorted(values.items()))
    included = '#include <uapi/linux/ptrace.h>\n' if any(function.at.startswith(('kp', 'kr')) for function in functions) else ''
    batch = _BATCH if any('batch_of()' in function.text for function in functions) else ''
    return included + defined + _TEXT + batch + ''.join(function.text for function in functions)
