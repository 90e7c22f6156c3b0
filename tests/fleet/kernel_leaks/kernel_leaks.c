// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaks, and what only looks like one, of kinds that the injectors do not
 * make. One function for each kind, named after it; all is freed on removal.
 *
 * kinds=leak_1mb,leak_bulk,...  many=N: leak_many_00 and N-1 more as well;
 * rate=objects a second of each, 0: its own; parameter truth: bytes that each
 * holds, read at any time.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/workqueue.h>

MODULE_LICENSE("GPL");

static char *kinds = "";
module_param(kinds, charp, 0400);
static unsigned int many, rate;
module_param(many, uint, 0400);
module_param(rate, uint, 0400);

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
	bool in_timer;
	/* Under lock. */
	struct kept *first, **last;
	unsigned long count;
	long bytes;
	u64 credit, then;
	bool on;
};

static DEFINE_SPINLOCK(lock);
static struct kmem_cache *bulk_cache, *shrunk_cache;
static struct platform_device *device;

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
	{ "leak_softirq", leak_softirq, give_back_slab, 600, .in_timer = true },
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
	{ "full_ring", full_ring, give_back_slab, 200, .most = 8000 },
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

	kind->credit += min_t(u64, now - kind->then, NSEC_PER_SEC) * kind->rate;
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

static void turns(bool in_timer)
{
	int index;

	for (index = 0; index < ARRAY_SIZE(all); index++)
		if (all[index].on && all[index].in_timer == in_timer)
			turn(&all[index]);
}

static void tick(struct work_struct *unused)
{
	turns(false);
	schedule_delayed_work(&work, max(1, HZ / 50));
}

static void timer_tick(struct timer_list *unused)
{
	turns(true);
	mod_timer(&timer, jiffies + max(1, HZ / 50));
}

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

static int __init begin(void)
{
	int index, number, of_many = 0;

	bulk_cache = kmem_cache_create("kernel_leaks_bulk", 256, 0, 0, NULL);
	shrunk_cache = kmem_cache_create("kernel_leaks_shrunk", 384, 0, SLAB_RECLAIM_ACCOUNT, NULL);
	device = platform_device_register_simple("kernel_leaks", -1, NULL, 0);
	if (!bulk_cache || !shrunk_cache || IS_ERR(device))
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
		for (number = 0; kind->on && number < kind->most; number++)
			kind->make(kind);
	}
	schedule_delayed_work(&work, 1);
	mod_timer(&timer, jiffies + 1);
	return 0;
}

static void __exit end(void)
{
	struct kept *kept;
	int index;

	cancel_delayed_work_sync(&work);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	del_timer_sync(&timer);
#else
	timer_delete_sync(&timer);
#endif
	for (index = 0; index < ARRAY_SIZE(all); index++)
		while ((kept = taken(&all[index], true)))
			all[index].drop(kept);
	platform_device_unregister(device);
	kmem_cache_destroy(bulk_cache);
	kmem_cache_destroy(shrunk_cache);
}

module_init(begin);
module_exit(end);
