// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaks, and what only looks like one, of kinds that the injectors do not
 * make. One function for each kind, named after it; all is freed on removal.
 *
 * kinds=leak_1mb,leak_bulk,...  many=N: leak_many_00 and N-1 more as well;
 * rate=objects a second of each, 0: its own; later_ms: leak_later begins so
 * long after parameter go was written; parameter truth: bytes that each holds,
 * read at any time.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

MODULE_LICENSE("GPL");

static char *kinds = "";
module_param(kinds, charp, 0400);
static unsigned int many, rate, later_ms;
module_param(many, uint, 0400);
module_param(rate, uint, 0400);
module_param(later_ms, uint, 0400);

struct kept {
	struct kept *next;
	unsigned long born;
	struct page *page;
	void *what;
};

struct kind {
	const char *name;
	void (*make)(struct kind *kind);
	void (*drop)(struct kept *kept);
	unsigned int rate;	/* calls a second */
	unsigned int lives_s;	/* 0: for ever */
	unsigned int most;	/* a ring of so many, which is full when the module is loaded; 0: no end */
	enum { IN_WORK, IN_TIMER, IN_HARDIRQ, IN_THREAD } in;
	unsigned int every_s;	/* all of so many seconds at once; 0: evenly */
	/* Under lock. */
	struct kept *first, **last;
	unsigned long count;
	long bytes;
	u64 credit, then;
	bool on;
};

static DEFINE_SPINLOCK(lock);
static struct kmem_cache *bulk_cache, *shrunk_cache, *ctor_cache;
static mempool_t *pool;
static struct page_frag_cache frags;
static struct platform_device *device;
static struct kind *of_work, *of_thread;
static unsigned long went; /* jiffies when the window began; 0: not yet */
static u32 dice = 1;

static void keep(struct kind *kind, void *what, struct page *page, long bytes)
{
	struct kept *kept;
	unsigned long flags;

	if (!what && !page)
		return;
	/* A node of its own would be a second leak: it lies in the object. */
	kept = what ? what : page_address(page);
	kept->born = jiffies;
	kept->page = page;
	kept->what = what;
	kept->next = NULL;
	spin_lock_irqsave(&lock, flags);
	*kind->last = kept;
	kind->last = &kept->next;
	kind->count++;
	kind->bytes += bytes;
	spin_unlock_irqrestore(&lock, flags);
}

#define KEEP(kind, what, page, bytes) do { keep(kind, what, page, bytes); barrier(); } while (0)

static noinline void leak_1mb(struct kind *kind) { KEEP(kind, kmalloc(512, GFP_KERNEL), NULL, 512); }
static noinline void myfs_alloc_inode(struct kind *kind) { KEEP(kind, kmalloc(1024, GFP_KERNEL), NULL, 1024); }
static noinline void p9_track(struct kind *kind) { KEEP(kind, kmalloc(256, GFP_KERNEL), NULL, 256); }
static noinline void refill_ring(struct kind *kind) { KEEP(kind, kmalloc(2048, GFP_KERNEL), NULL, 2048); }
static noinline void swap_tables(struct kind *kind) { KEEP(kind, NULL, alloc_page(GFP_KERNEL), PAGE_SIZE); }
static noinline void leak_softirq(struct kind *kind) { KEEP(kind, kmalloc(192, GFP_ATOMIC), NULL, 192); }
static noinline void leak_shrunk(struct kind *kind) { KEEP(kind, kmem_cache_alloc(shrunk_cache, GFP_KERNEL), NULL, 384); }
static noinline void full_ring(struct kind *kind) { KEEP(kind, kmalloc(1024, GFP_KERNEL), NULL, 1024); }
static noinline void steady_pages(struct kind *kind) { KEEP(kind, NULL, alloc_page(GFP_KERNEL), PAGE_SIZE); }
static noinline void steady_slab(struct kind *kind) { KEEP(kind, kmalloc(512, GFP_KERNEL), NULL, 512); }
static noinline void weak_slab(struct kind *kind) { KEEP(kind, kmalloc(64, GFP_KERNEL), NULL, 64); }

/* It ends with a jump to the allocator, and has no return address in the stack. */
static noinline void *leak_tail(void) { return kmalloc(320, GFP_KERNEL); }
static noinline void make_tail(struct kind *kind) { KEEP(kind, leak_tail(), NULL, 512); }

/* Sites that differ in nothing but their place and, eight in turn, their size. */
#define TENS(do_it) do_it(0) do_it(1) do_it(2) do_it(3) do_it(4) do_it(5) do_it(6) do_it(7) do_it(8) do_it(9)
#define ONES(do_it, ten) do_it(ten, 0) do_it(ten, 1) do_it(ten, 2) do_it(ten, 3) do_it(ten, 4) \
	do_it(ten, 5) do_it(ten, 6) do_it(ten, 7) do_it(ten, 8) do_it(ten, 9)
#define MANY_BYTES(ten, one) (64 << ((ten) + (one)) % 4)
#define MANY(ten, one) \
static noinline void leak_many_##ten##one(struct kind *kind) \
{ \
	KEEP(kind, kmalloc(MANY_BYTES(ten, one), GFP_KERNEL), NULL, MANY_BYTES(ten, one)); \
}
#define TEN_OF_MANY(ten) ONES(MANY, ten)
TENS(TEN_OF_MANY)

static noinline void leak_bursts(struct kind *kind) { KEEP(kind, kmalloc(1024, GFP_KERNEL), NULL, 1024); }
static noinline void leak_hardirq(struct kind *kind) { KEEP(kind, kmalloc(256, GFP_ATOMIC), NULL, 256); }
static noinline void leak_atomic_pages(struct kind *kind) { KEEP(kind, NULL, alloc_page(GFP_ATOMIC), PAGE_SIZE); }
static noinline void leak_ctor(struct kind *kind) { KEEP(kind, kmem_cache_alloc(ctor_cache, GFP_KERNEL), NULL, 448); }
static noinline void leak_mempool(struct kind *kind) { KEEP(kind, mempool_alloc(pool, GFP_KERNEL), NULL, 1024); }
static noinline void leak_large(struct kind *kind) { KEEP(kind, kmalloc(16384, GFP_KERNEL), NULL, 16384); }
static noinline void leak_exact(struct kind *kind) { KEEP(kind, alloc_pages_exact(12288, GFP_KERNEL), NULL, 12288); }
static noinline void leak_frag(struct kind *kind) { KEEP(kind, page_frag_alloc(&frags, 1024, GFP_KERNEL), NULL, 1024); }
static noinline void leak_name(struct kind *kind) { KEEP(kind, kasprintf(GFP_KERNEL, "%090u", kind->rate), NULL, 96); }
static noinline void leak_order_5(struct kind *kind)
{
	KEEP(kind, NULL, alloc_pages(GFP_KERNEL | __GFP_COMP, 5), PAGE_SIZE << 5);
}
static noinline void steady_long(struct kind *kind) { KEEP(kind, kmalloc(2048, GFP_KERNEL), NULL, 2048); }
static noinline void steady_rcu(struct kind *kind) { KEEP(kind, kmalloc(512, GFP_KERNEL), NULL, 512); }
static noinline void steady_mempool(struct kind *kind) { KEEP(kind, mempool_alloc(pool, GFP_KERNEL), NULL, 1024); }
static noinline void steady_vmalloc(struct kind *kind) { KEEP(kind, vmalloc(16384), NULL, 16384); }

static noinline void leak_later(struct kind *kind)
{
	if (went && time_after(jiffies, went + msecs_to_jiffies(later_ms)))
		KEEP(kind, kmalloc(512, GFP_KERNEL), NULL, 512);
}

static noinline void leak_vmalloc(struct kind *kind)
{
	unsigned long size = PAGE_SIZE << kind->count % 6;

	KEEP(kind, vmalloc(size), NULL, size);
}

/* The object itself is a pointer of each CPU; the first one's memory has the node. */
static void keep_percpu(struct kind *kind, void __percpu *what)
{
	struct kept *kept;

	if (!what)
		return;
	kept = per_cpu_ptr(what, cpumask_first(cpu_possible_mask));
	keep(kind, kept, NULL, 256 * num_possible_cpus());
	kept->what = (void *)(unsigned long)what;
}
static noinline void leak_percpu(struct kind *kind) { keep_percpu(kind, __alloc_percpu(256, 8)); barrier(); }
static noinline void steady_percpu(struct kind *kind) { keep_percpu(kind, __alloc_percpu(256, 8)); barrier(); }

/* One function that leaks, called by two. */
static noinline void leak_shared(struct kind *kind) { KEEP(kind, kmalloc(768, GFP_KERNEL), NULL, 1024); }
static noinline void by_one(struct kind *kind) { leak_shared(kind); asm volatile("# one" ::: "memory"); }
static noinline void by_two(struct kind *kind) { leak_shared(kind); asm volatile("# two" ::: "memory"); }

static void make_shared(struct kind *kind)
{
	if (kind->count % 3)
		by_one(kind);
	else
		by_two(kind);
}

/* A work item and a thread of their own: the function that leaks is what the kernel calls. */
static noinline void leak_work(struct work_struct *unused)
{
	int number;

	for (number = 0; number < 4; number++)
		KEEP(of_work, kmalloc(1024, GFP_KERNEL), NULL, 1024);
}
static DECLARE_WORK(own_work, leak_work);
static void make_work(struct kind *kind) { schedule_work(&own_work); }

static struct task_struct *thread;
static noinline int leak_thread(void *unused)
{
	while (!kthread_should_stop()) {
		KEEP(of_thread, kmalloc(2048, GFP_KERNEL), NULL, 2048);
		schedule_timeout_interruptible(max_t(long, 1, HZ / of_thread->rate));
	}
	return 0;
}

/* Nodes of the tree are taken by the library, for whoever stores. */
static DEFINE_XARRAY(stored);
static unsigned long stored_count;
static noinline void leak_xarray(struct kind *kind)
{
	if (!xa_is_err(xa_store(&stored, stored_count, xa_mk_value(1), GFP_KERNEL)) && stored_count++ % 64 == 0)
		kind->bytes += 576;
}

/* Buffers that grow: none is lost, all are larger each time. */
#define GROWN 64
static struct { void *what; size_t size; } grown[GROWN];
static noinline void grow_krealloc(struct kind *kind)
{
	unsigned int at = kind->count++ % GROWN;
	size_t size = grown[at].size ? grown[at].size + 256 : 256 + at * 1024, before = grown[at].what ? ksize(grown[at].what) : 0;
	void *what = krealloc(grown[at].what, size, GFP_KERNEL);

	if (!what)
		return;
	grown[at].what = what;
	grown[at].size = size;
	kind->bytes += ksize(what) - before;
}

/* A cache that is full, and that drops any of its entries for a new one. */
#define ENTRIES 6000
static void *entries[ENTRIES];
static noinline void full_cache(struct kind *kind)
{
	void *what = kmalloc(1024, GFP_KERNEL);
	unsigned int at;

	dice = dice * 1664525 + 1013904223;
	at = kind->count < ENTRIES ? kind->count++ : (dice >> 8) % ENTRIES;
	kfree(entries[at]);
	entries[at] = what;
}

/* Objects that live until a grace period of RCU has passed. */
struct late {
	struct rcu_head rcu;
	char text[400];
};
static noinline void freed_by_rcu(struct kind *kind)
{
	struct late *late = kmalloc(sizeof(*late), GFP_KERNEL);

	if (late)
		kfree_rcu(late, rcu);
}

static noinline void leak_bulk(struct kind *kind)
{
	void *made[16];
	int index;

	/* All or nothing on every kernel: their number up to 6.x, a bool later. */
	if (!kmem_cache_alloc_bulk(bulk_cache, GFP_KERNEL, 16, made))
		return;
	for (index = 0; index < 16; index++)
		KEEP(kind, made[index], NULL, 256);
}

static noinline void leak_split(struct kind *kind)
{
	struct page *page = alloc_pages(GFP_KERNEL, 2);
	int index;

	if (!page)
		return;
	split_page(page, 2);
	for (index = 1; index < 4; index++)
		__free_page(page + index);
	KEEP(kind, NULL, page, PAGE_SIZE);
}

static noinline void leak_bulk_pages(struct kind *kind)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	struct page *made[16] = {};
	int number = alloc_pages_bulk(GFP_KERNEL, 16, made), index;
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 13, 0)
	struct page *made[16] = {};
	int number = alloc_pages_bulk_array(GFP_KERNEL, 16, made), index;
#else
	struct page *made[16] = {};
	int number = 0, index;

	for (; number < 16; number++)
		made[number] = alloc_page(GFP_KERNEL);
#endif
	for (index = 0; index < number; index++)
		if (made[index])
			KEEP(kind, NULL, made[index], PAGE_SIZE);
}

static noinline void leak_skb(struct kind *kind)
{
	struct sk_buff *skb = alloc_skb(900, GFP_KERNEL);

	if (skb)
		KEEP(kind, skb->data, NULL, 2048 + 256);
	if (skb)
		*(struct sk_buff **)((struct kept *)skb->data + 1) = skb;
}

static noinline void leak_devm(struct kind *kind)
{
	KEEP(kind, devm_kmalloc(&device->dev, 400, GFP_KERNEL), NULL, 512);
}

static noinline void leak_dma(struct kind *kind)
{
	dma_addr_t address;
	void *what = dma_alloc_coherent(&device->dev, PAGE_SIZE, &address, GFP_KERNEL);

	if (!what)
		return;
	KEEP(kind, what, NULL, PAGE_SIZE);
	*(dma_addr_t *)((struct kept *)what + 1) = address;
}

static void give_back_slab(struct kept *kept) { kfree(kept->what); }
static void give_back_page(struct kept *kept) { __free_page(kept->page); }
static void give_back_bulk(struct kept *kept) { kmem_cache_free(bulk_cache, kept->what); }
static void give_back_shrunk(struct kept *kept) { kmem_cache_free(shrunk_cache, kept->what); }
static void give_back_ctor(struct kept *kept) { kmem_cache_free(ctor_cache, kept->what); }
static void give_back_mempool(struct kept *kept) { mempool_free(kept->what, pool); }
static void give_back_exact(struct kept *kept) { free_pages_exact(kept->what, 12288); }
static void give_back_frag(struct kept *kept) { page_frag_free(kept->what); }
static void give_back_order_5(struct kept *kept) { __free_pages(kept->page, 5); }
static void give_back_vmalloc(struct kept *kept) { vfree(kept->what); }
static void give_back_percpu(struct kept *kept) { free_percpu((void __percpu *)(unsigned long)kept->what); }
static void give_back_rcu(struct kept *kept) { kfree_rcu((struct late *)kept->what, rcu); }
static void give_back_skb(struct kept *kept) { kfree_skb(*(struct sk_buff **)(kept + 1)); }
static void give_back_devm(struct kept *kept) { devm_kfree(&device->dev, kept->what); }

static void give_back_dma(struct kept *kept)
{
	dma_free_coherent(&device->dev, PAGE_SIZE, kept->what, *(dma_addr_t *)(kept + 1));
}

static struct kind all[] = {
	{ "leak_1mb", leak_1mb, give_back_slab, 2000 },
	{ "myfs_alloc_inode", myfs_alloc_inode, give_back_slab, 100 },
	{ "p9_track", p9_track, give_back_slab, 400 },
	{ "refill_ring", refill_ring, give_back_slab, 50 },
	{ "swap_tables", swap_tables, give_back_page, 60 },
	{ "leak_softirq", leak_softirq, give_back_slab, 600, .in = IN_TIMER },
	{ "leak_shrunk", leak_shrunk, give_back_shrunk, 300 },
	{ "leak_bulk", leak_bulk, give_back_bulk, 50 },
	{ "leak_split", leak_split, give_back_page, 60 },
	{ "leak_bulk_pages", leak_bulk_pages, give_back_page, 10 },
	{ "leak_skb", leak_skb, give_back_skb, 100 },
	{ "leak_devm", leak_devm, give_back_devm, 200 },
	{ "leak_dma", leak_dma, give_back_dma, 50 },
	{ "leak_tail", make_tail, give_back_slab, 150 },
	{ "weak_slab", weak_slab, give_back_slab, 64 },
#define KIND_OF_MANY(ten, one) { "leak_many_" #ten #one, leak_many_##ten##one, give_back_slab, 50 },
#define TEN_KINDS(ten) ONES(KIND_OF_MANY, ten)
	TENS(TEN_KINDS)
	{ "leak_later", leak_later, give_back_slab, 400 },
	{ "leak_shared", make_shared, give_back_slab, 150 },
	{ "leak_bursts", leak_bursts, give_back_slab, 100, .every_s = 7 },
	{ "leak_hardirq", leak_hardirq, give_back_slab, 500, .in = IN_HARDIRQ },
	{ "leak_atomic_pages", leak_atomic_pages, give_back_page, 40, .in = IN_TIMER },
	{ "leak_work", make_work, give_back_slab, 40 },
	{ "leak_thread", NULL, give_back_slab, 50, .in = IN_THREAD },
	{ "leak_ctor", leak_ctor, give_back_ctor, 250 },
	{ "leak_mempool", leak_mempool, give_back_mempool, 120 },
	{ "leak_percpu", leak_percpu, give_back_percpu, 200 },
	{ "leak_vmalloc", leak_vmalloc, give_back_vmalloc, 12 },
	{ "leak_large", leak_large, give_back_slab, 12 },
	{ "leak_exact", leak_exact, give_back_exact, 20 },
	{ "leak_frag", leak_frag, give_back_frag, 200 },
	{ "leak_name", leak_name, give_back_slab, 800 },
	{ "leak_order_5", leak_order_5, give_back_order_5, 3 },
	{ "leak_xarray", leak_xarray, NULL, 16000 },
	{ "grow_krealloc", grow_krealloc, NULL, 500 },
	{ "full_ring", full_ring, give_back_slab, 200, .most = 8000 },
	{ "full_cache", full_cache, NULL, 200 },
	{ "steady_long", steady_long, give_back_slab, 60, .lives_s = 60 },
	{ "steady_rcu", steady_rcu, give_back_rcu, 300, .lives_s = 4 },
	{ "freed_by_rcu", freed_by_rcu, NULL, 1000 },
	{ "steady_mempool", steady_mempool, give_back_mempool, 100, .lives_s = 10 },
	{ "steady_vmalloc", steady_vmalloc, give_back_vmalloc, 12, .lives_s = 25 },
	{ "steady_percpu", steady_percpu, give_back_percpu, 60, .lives_s = 25 },
	{ "steady_pages", steady_pages, give_back_page, 80, .lives_s = 25 },
	{ "steady_slab", steady_slab, give_back_slab, 400, .lives_s = 25 },
};

static struct kept *taken(struct kind *kind, bool any)
{
	struct kept *kept;
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	kept = kind->first;
	if (kept && !any && !(kind->lives_s && time_after(jiffies, kept->born + kind->lives_s * HZ)) &&
	    !(kind->most && kind->count > kind->most))
		kept = NULL;
	if (kept) {
		kind->bytes -= kind->count ? kind->bytes / (long)kind->count : 0;
		kind->count--;
		kind->first = kept->next;
		if (!kind->first)
			kind->last = &kind->first;
	}
	spin_unlock_irqrestore(&lock, flags);
	return kept;
}

static void turn(struct kind *kind)
{
	u64 now = ktime_get_ns();
	struct kept *kept;
	int number = 0;

	if (kind->every_s && now - kind->then < (u64)kind->every_s * NSEC_PER_SEC && kind->credit < NSEC_PER_SEC)
		return;
	kind->credit += min_t(u64, now - kind->then, (u64)max(1U, kind->every_s) * NSEC_PER_SEC) * kind->rate;
	kind->then = now;
	for (; kind->credit >= NSEC_PER_SEC && number < 400; number++) {
		kind->credit -= NSEC_PER_SEC;
		kind->make(kind);
		kept = taken(kind, false);
		if (kept)
			kind->drop(kept);
	}
}

static void tick(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, tick);
static void timer_tick(struct timer_list *unused);
static DEFINE_TIMER(timer, timer_tick);

static void turns(int in)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(all); index++)
		if (all[index].on && all[index].in == in)
			turn(&all[index]);
}

static void tick(struct work_struct *unused)
{
	turns(IN_WORK);
	schedule_delayed_work(&work, max(1, HZ / 50));
}

static void timer_tick(struct timer_list *unused)
{
	turns(IN_TIMER);
	mod_timer(&timer, jiffies + max(1, HZ / 50));
}

static struct hrtimer hard_timer;
static enum hrtimer_restart hard_tick(struct hrtimer *unused)
{
	turns(IN_HARDIRQ);
	hrtimer_forward_now(&hard_timer, ms_to_ktime(20));
	return HRTIMER_RESTART;
}

static int set_go(const char *text, const struct kernel_param *unused)
{
	WRITE_ONCE(went, jiffies | 1);
	return 0;
}

static const struct kernel_param_ops go_ops = { .set = set_go };
module_param_cb(go, &go_ops, NULL, 0200);

static int show(char *text, const struct kernel_param *unused)
{
	int index, length = 0;

	for (index = 0; index < ARRAY_SIZE(all); index++)
		if (all[index].on)
			length += scnprintf(text + length, PAGE_SIZE - length, "%s %ld\n", all[index].name, all[index].bytes);
	return length;
}

static const struct kernel_param_ops show_ops = { .get = show };
module_param_cb(truth, &show_ops, NULL, 0400);

static void construct(void *what) { memset(what, 0, 448); }

static int __init begin(void)
{
	int index, number, of_many = 0;

	bulk_cache = kmem_cache_create("kernel_leaks_bulk", 256, 0, 0, NULL);
	shrunk_cache = kmem_cache_create("kernel_leaks_shrunk", 384, 0, SLAB_RECLAIM_ACCOUNT, NULL);
	ctor_cache = kmem_cache_create("kernel_leaks_ctor", 448, 0, 0, construct);
	pool = mempool_create_kmalloc_pool(4, 1024);
	device = platform_device_register_simple("kernel_leaks", -1, NULL, 0);
	if (!bulk_cache || !shrunk_cache || !ctor_cache || !pool || IS_ERR(device))
		return -ENOMEM;
	dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	for (index = 0; index < ARRAY_SIZE(all); index++) {
		struct kind *kind = &all[index];
		const char *at = strstr(kinds, kind->name);

		kind->last = &kind->first;
		kind->on = at && (at == kinds || at[-1] == ',') && (!at[strlen(kind->name)] || at[strlen(kind->name)] == ',');
		if (!strncmp(kind->name, "leak_many_", 10) && of_many++ < many)
			kind->on = true;
		if (rate)
			kind->rate = rate;
		kind->then = ktime_get_ns();
		for (number = 0; kind->on && number < (kind->make == full_cache ? ENTRIES : kind->most); number++)
			kind->make(kind);
		if (kind->make == make_work)
			of_work = kind;
		if (kind->in == IN_THREAD)
			of_thread = kind;
	}
	if (of_thread->on)
		thread = kthread_run(leak_thread, NULL, "kernel_leaks");
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(&hard_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hard_timer.function = hard_tick;
#else
	hrtimer_setup(&hard_timer, hard_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#endif
	hrtimer_start(&hard_timer, ms_to_ktime(20), HRTIMER_MODE_REL);
	schedule_delayed_work(&work, 1);
	mod_timer(&timer, jiffies + 1);
	return 0;
}

static void __exit end(void)
{
	struct kept *kept;
	int index;

	cancel_delayed_work_sync(&work);
	cancel_work_sync(&own_work);
	hrtimer_cancel(&hard_timer);
	if (!IS_ERR_OR_NULL(thread))
		kthread_stop(thread);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	del_timer_sync(&timer);
#else
	timer_delete_sync(&timer);
#endif
	for (index = 0; index < ARRAY_SIZE(all); index++)
		while ((kept = taken(&all[index], true)))
			all[index].drop(kept);
	xa_destroy(&stored);
	for (index = 0; index < GROWN; index++)
		kfree(grown[index].what);
	for (index = 0; index < ENTRIES; index++)
		kfree(entries[index]);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	if (frags.va)
		__page_frag_cache_drain(virt_to_head_page(frags.va), frags.pagecnt_bias);
#else
	page_frag_cache_drain(&frags);
#endif
	rcu_barrier();
	platform_device_unregister(device);
	mempool_destroy(pool);
	kmem_cache_destroy(ctor_cache);
	kmem_cache_destroy(bulk_cache);
	kmem_cache_destroy(shrunk_cache);
}

module_init(begin);
module_exit(end);
