// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation sites site_00 ... site_31, each with a pattern, a kind of memory,
 * sizes, rates and lifetimes of its own. All is freed on removal.
 *
 * sites=PATTERN:MEMORY:BYTES:RATE:NUMBER:LIFE_MS:SPREAD,...
 *   leak     kept for ever
 *   steady   freed after LIFE_MS; SPREAD 1: after 0 to twice as long, 2: after
 *            a fifth of it or nine fifths
 *   ring     NUMBER are kept, the oldest is replaced; full at the beginning
 *   backlog  piles up and is freed at once every LIFE_MS
 *   burst    NUMBER at once LIFE_MS after the window began, freed after
 *            SPREAD ms (0: never)
 *   once     until LIFE_MS after the window began, and kept
 *   cache    until NUMBER are kept after the window began; then the oldest is
 *            replaced (SPREAD 1) or nothing happens
 * MEMORY: kmalloc, cache (of its own), page, vmalloc, percpu.
 * go: written when the window begins. truth: site, objects, bytes,
 * allocations, frees.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

MODULE_LICENSE("GPL");

#define SITES 32
#define TICK_MS 20
#define WHEEL 8192 /* ticks */

static char *sites = "";
module_param(sites, charp, 0400);

enum memory { KMALLOC, CACHE, PAGE, VMALLOC, PERCPU };
static const char *const memories[] = { "kmalloc", "cache", "page", "vmalloc", "percpu" };
enum pattern { LEAK, STEADY, RING, BACKLOG, BURST, ONCE, FILLED };
static const char *const patterns[] = { "leak", "steady", "ring", "backlog", "burst", "once", "cache" };

struct object {
	struct object *next;
	void *what;
};

struct queue {
	struct object *first, **last;
};

struct site {
	void *(*allocate)(struct site *site);
	int pattern, memory;
	unsigned int bytes, rate, number, life_ms, spread;
	struct kmem_cache *cache;
	struct queue kept, *wheel;
	unsigned long count, made, dropped;
	u64 credit;
	bool fired;
};

static struct site all[SITES];
static unsigned int used;
static u64 ticks, went; /* since when the window is open, 0: not yet */
static u32 dice = 1;
static struct workqueue_struct *queue;

static __always_inline void *allocate(struct site *site)
{
	switch (site->memory) {
	case KMALLOC:
		return kmalloc(site->bytes, GFP_KERNEL);
	case CACHE:
		return kmem_cache_alloc(site->cache, GFP_KERNEL);
	case PAGE:
		return alloc_pages(GFP_KERNEL, get_order(site->bytes));
	case VMALLOC:
		return vmalloc(site->bytes);
	default:
		return (void *)(unsigned long)__alloc_percpu(site->bytes, 16);
	}
}

#define SITE(number) \
static noinline void *site_##number(struct site *site) \
{ \
	void *what = allocate(site); \
\
	OPTIMIZER_HIDE_VAR(what); \
	return what; \
}
#define EACH(do_it) \
	do_it(00) do_it(01) do_it(02) do_it(03) do_it(04) do_it(05) do_it(06) do_it(07) \
	do_it(08) do_it(09) do_it(10) do_it(11) do_it(12) do_it(13) do_it(14) do_it(15) \
	do_it(16) do_it(17) do_it(18) do_it(19) do_it(20) do_it(21) do_it(22) do_it(23) \
	do_it(24) do_it(25) do_it(26) do_it(27) do_it(28) do_it(29) do_it(30) do_it(31)
EACH(SITE)
#define FUNCTION(number) site_##number,
static void *(*const functions[])(struct site *site) = { EACH(FUNCTION) };

static void release(struct site *site, void *what)
{
	switch (site->memory) {
	case KMALLOC:
		kfree(what);
		break;
	case CACHE:
		kmem_cache_free(site->cache, what);
		break;
	case PAGE:
		__free_pages(what, get_order(site->bytes));
		break;
	case VMALLOC:
		vfree(what);
		break;
	default:
		free_percpu((void __percpu *)(unsigned long)what);
	}
	site->count--;
	site->dropped++;
}

static void append(struct queue *to, struct object *object)
{
	if (!to->last)
		to->last = &to->first;
	object->next = NULL;
	*to->last = object;
	to->last = &object->next;
}

static void *taken(struct queue *from)
{
	struct object *object = from->first;

	if (!object)
		return NULL;
	from->first = object->next;
	if (!from->first)
		from->last = &from->first;
	return object->what;
}

/* The object itself holds its place in a queue: nothing else is allocated. */
static struct object *header(struct site *site, void *what)
{
	if (site->memory == PAGE)
		return page_address(what);
	if (site->memory == PERCPU)
		return per_cpu_ptr((void __percpu *)(unsigned long)what, cpumask_first(cpu_possible_mask));
	return what;
}

static u64 due(struct site *site)
{
	u64 life = site->life_ms / TICK_MS;

	dice = dice * 1664525 + 1013904223;
	if (site->pattern == BACKLOG)
		return ticks - ticks % max_t(u64, 1, life) + max_t(u64, 1, life);
	if (site->pattern == BURST)
		return site->spread ? ticks + site->spread / TICK_MS : 0;
	if (site->pattern != STEADY)
		return 0;
	if (site->spread == 1)
		life = ((u64)(dice >> 8) * 2 * life) >> 24;
	else if (site->spread == 2)
		life = (dice >> 16) & 1 ? life / 5 : life * 9 / 5;
	return ticks + max_t(u64, 1, life);
}

static void make(struct site *site)
{
	void *what = site->allocate(site);
	struct object *object;
	u64 at;

	if (!what)
		return;
	object = header(site, what);
	object->what = what;
	site->count++;
	site->made++;
	at = due(site);
	append(at ? &site->wheel[at % WHEEL] : &site->kept, object);
	if ((site->pattern == RING || (site->pattern == FILLED && site->spread)) && site->count > site->number)
		release(site, taken(&site->kept));
}

static bool is_due(struct site *site)
{
	u64 since_ms = went ? (ticks - went) * TICK_MS : 0;

	if (site->pattern == ONCE)
		return went && since_ms < site->life_ms;
	if (site->pattern == FILLED)
		return went && (site->spread || site->count < site->number);
	return site->pattern != BURST;
}

static void turn(struct site *site)
{
	struct queue *now = &site->wheel[ticks % WHEEL];
	unsigned int number;
	void *what;

	while ((what = taken(now)))
		release(site, what);
	if (site->pattern == BURST && went && !site->fired && (ticks - went) * TICK_MS >= site->life_ms) {
		site->fired = true;
		for (number = 0; number < site->number; number++)
			make(site);
	}
	if (!is_due(site))
		return;
	for (site->credit += (u64)site->rate * TICK_MS; site->credit >= 1000 && is_due(site); site->credit -= 1000)
		make(site);
}

static void tick(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, tick);
static u64 began_ns;

static void tick(struct work_struct *unused)
{
	u64 until = div_u64(ktime_get_ns() - began_ns, TICK_MS * NSEC_PER_MSEC);
	unsigned int index;

	/* What is late is made up for, but a slow machine is not kept busy with it for ever. */
	for (index = 0; index < 50 && ticks < until; index++) {
		struct site *site;

		ticks++;
		for (site = all; site < all + used; site++)
			turn(site);
	}
	queue_delayed_work(queue, &work, max(1, HZ * TICK_MS / 1000));
}

static int set_go(const char *text, const struct kernel_param *unused)
{
	WRITE_ONCE(went, max_t(u64, 1, READ_ONCE(ticks)));
	return 0;
}

static const struct kernel_param_ops go_ops = { .set = set_go };
module_param_cb(go, &go_ops, NULL, 0200);

static int show(char *text, const struct kernel_param *unused)
{
	unsigned int index;
	int length = 0;

	for (index = 0; index < used; index++)
		length += scnprintf(text + length, PAGE_SIZE - length, "site_%02u %lu %lu %lu %lu\n", index, all[index].count,
				    all[index].count * all[index].bytes, all[index].made, all[index].dropped);
	return length;
}

static const struct kernel_param_ops show_ops = { .get = show };
module_param_cb(truth, &show_ops, NULL, 0400);

static int named(const char *const *names, int number, const char *name)
{
	int index;

	for (index = 0; index < number; index++)
		if (!strcmp(names[index], name))
			return index;
	return -1;
}

static void finish(void)
{
	struct site *site;
	unsigned int slot;
	void *what;

	for (site = all; site < all + used; site++) {
		while ((what = taken(&site->kept)))
			release(site, what);
		for (slot = 0; site->wheel && slot < WHEEL; slot++)
			while ((what = taken(&site->wheel[slot])))
				release(site, what);
		vfree(site->wheel);
		kmem_cache_destroy(site->cache);
	}
}

static int prepare(struct site *site, unsigned int index, const char *spec)
{
	char pattern[16], memory[16], name[24];

	if (sscanf(spec, "%15[^:]:%15[^:]:%u:%u:%u:%u:%u", pattern, memory, &site->bytes, &site->rate, &site->number, &site->life_ms,
		   &site->spread) != 7)
		return -EINVAL;
	site->pattern = named(patterns, ARRAY_SIZE(patterns), pattern);
	site->memory = named(memories, ARRAY_SIZE(memories), memory);
	if (site->pattern < 0 || site->memory < 0 || site->bytes < sizeof(struct object) || site->life_ms / TICK_MS * 2 >= WHEEL)
		return -EINVAL;
	site->allocate = functions[index];
	site->wheel = vzalloc(WHEEL * sizeof(*site->wheel));
	if (!site->wheel)
		return -ENOMEM;
	if (site->memory == CACHE) {
		snprintf(name, sizeof(name), "kernel_sites_%02u", index);
		site->cache = kmem_cache_create(name, site->bytes, 0, 0, NULL);
		if (!site->cache)
			return -ENOMEM;
	}
	return 0;
}

static int __init begin(void)
{
	char *rest = sites, *spec;
	struct site *site;
	int error = 0;

	queue = alloc_workqueue("kernel_sites", WQ_UNBOUND, 1);
	if (!queue)
		return -ENOMEM;
	while (!error && used < SITES && (spec = strsep(&rest, ",")) && *spec) {
		error = prepare(&all[used], used, spec);
		used++;
	}
	if (error) {
		finish();
		destroy_workqueue(queue);
		return error;
	}
	for (site = all; site < all + used; site++)
		while (site->pattern == RING && site->count < site->number)
			make(site);
	began_ns = ktime_get_ns();
	queue_delayed_work(queue, &work, 1);
	return 0;
}

static void __exit end(void)
{
	cancel_delayed_work_sync(&work);
	destroy_workqueue(queue);
	finish();
}

module_init(begin);
module_exit(end);
