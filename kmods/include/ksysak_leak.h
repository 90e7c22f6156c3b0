/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine of the leak injectors: allocates at a given rate, from a given
 * context and place, keeps a share of the objects and knows all of them.
 *
 * Before including this, a module may define LEAK_SLEEPS: its allocator must
 * not be called from a softirq. After it, the module defines the functions
 * leak_*() declared below.
 */
#ifndef KSYSAK_LEAK_H
#define KSYSAK_LEAK_H

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "ksysak_control.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync(timer) del_timer_sync(timer)
#endif

#define KSYSAK_CHURN (HZ / 20)              /* jiffies until a share is freed again */
#define KSYSAK_WORK_NS (10 * NSEC_PER_MSEC) /* longest turn of the work */
#define KSYSAK_TIMER_NS (1 * NSEC_PER_MSEC) /* longest turn of the timer */
/* Rather fail than drive the host to reclaim hard, and say nothing in its log. */
#define KSYSAK_GFP_WORK (GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)
#define KSYSAK_GFP_TIMER (GFP_ATOMIC | __GFP_NOWARN)

/* Lies at the beginning of each object: no other memory is taken for it. */
struct ksysak_object {
	struct list_head list;
	unsigned long born; /* jiffies */
	u32 bytes;
	u8 place;
	u8 origin;
};

#define LEAK_BYTES_MIN 32

static u8 leak_origin;              /* for the module, noted in each object */
static void *leak_alloc(gfp_t gfp); /* must be __always_inline */
static void leak_free(struct ksysak_object *object);
static size_t leak_bytes(void *object); /* all that the allocator set aside for it */
static u64 leak_bytes_wanted(void);
static int leak_prepare(void); /* for new settings; paused */
static void leak_finish(void);

/*
 * The places. Each is the direct caller of the allocator, so it is the
 * culprit. Touching the result after the call forbids a tail call, which would
 * hide the place from the stack.
 */
#define KSYSAK_PLACE(name) \
	static noinline __noclone void *name(gfp_t gfp) \
	{ \
		void *object = leak_alloc(gfp); \
\
		OPTIMIZER_HIDE_VAR(object); \
		return object; \
	}

KSYSAK_PLACE(ksysak_leak_shallow)
KSYSAK_PLACE(ksysak_leak_middle)
KSYSAK_PLACE(ksysak_leak_deep)

static const char *const ksysak_place_names[] = { "ksysak_leak_shallow", "ksysak_leak_middle", "ksysak_leak_deep" };
static void *(*const ksysak_places[])(gfp_t gfp) = { ksysak_leak_shallow, ksysak_leak_middle, ksysak_leak_deep };
#define KSYSAK_PLACES ARRAY_SIZE(ksysak_places)
#define KSYSAK_DEPTH 3 /* more frames a place */

enum ksysak_context { KSYSAK_WORK, KSYSAK_CALL, KSYSAK_TIMER };
static const char *const ksysak_context_names[] = { "work", "call", "timer" };

static struct ksysak_setting ksysak_rate = { .value = 100, .min = 1, .max = 1000000 };
static struct ksysak_setting ksysak_ceiling = { .value = 64 << 20, .min = LEAK_BYTES_MIN, .max = 1ULL << 46 };
static struct ksysak_setting ksysak_freed_percent = { .value = 0, .max = 100 };
#ifdef LEAK_SLEEPS
static struct ksysak_setting ksysak_context = { .value = KSYSAK_WORK, .max = KSYSAK_CALL, .names = ksysak_context_names };
#define KSYSAK_CONTEXTS "work: a work queue, call: who writes trigger"
#else
static struct ksysak_setting ksysak_context = { .value = KSYSAK_WORK, .max = KSYSAK_TIMER, .names = ksysak_context_names };
#define KSYSAK_CONTEXTS "work: a work queue, timer: a timer softirq, call: who writes trigger"
#endif
static struct ksysak_setting ksysak_place = { .value = 0, .max = KSYSAK_PLACES - 1, .names = ksysak_place_names };

KSYSAK_PARAM(rate, ksysak_rate, "allocations per second (1..1000000, default 100)");
KSYSAK_PARAM(ceiling, ksysak_ceiling, "bytes outstanding at most; may be half of the available memory (default 67108864)");
KSYSAK_PARAM(freed_percent, ksysak_freed_percent, "percent of the allocations that are freed again after 50 ms (0..100, default 0)");
KSYSAK_PARAM(context, ksysak_context, "who allocates; " KSYSAK_CONTEXTS " (default work)");
KSYSAK_PARAM(place, ksysak_place,
	     "function that allocates: ksysak_leak_shallow, ksysak_leak_middle or ksysak_leak_deep (or 0..2, default 0)");

/* Under ksysak_lock: the lists and all counts. */
static DEFINE_SPINLOCK(ksysak_lock);
static LIST_HEAD(ksysak_kept);
static LIST_HEAD(ksysak_churned); /* oldest first */
static u64 ksysak_outstanding;    /* bytes */
static u64 ksysak_failed;         /* refused by the allocator */
static u64 ksysak_missed;         /* due, but over the ceiling or too late */
static struct {
	u64 allocations, frees, bytes;
} ksysak_counts[KSYSAK_PLACES];

/* Of the one who allocates. */
static u64 ksysak_last_ns;
static u64 ksysak_credit;         /* allocations due, in 10^-9 */
static unsigned int ksysak_share; /* percent of an object due to be freed again */
static u64 ksysak_largest;        /* bytes an object takes with these settings */

static void ksysak_tick_work(struct work_struct *unused);
static void ksysak_tick_timer(struct timer_list *unused);
static void ksysak_tidy(struct work_struct *unused);
static DECLARE_DELAYED_WORK(ksysak_work, ksysak_tick_work);
static DECLARE_DELAYED_WORK(ksysak_tidy_work, ksysak_tidy);
static DEFINE_TIMER(ksysak_timer, ksysak_tick_timer);

static void ksysak_add(u64 *count, u64 more)
{
	unsigned long flags;

	spin_lock_irqsave(&ksysak_lock, flags);
	*count += more;
	spin_unlock_irqrestore(&ksysak_lock, flags);
}

static noinline __noclone void *ksysak_descend(unsigned int frames, u8 place, gfp_t gfp)
{
	void *object = frames ? ksysak_descend(frames - 1, place, gfp) : ksysak_places[place](gfp);

	OPTIMIZER_HIDE_VAR(object);
	return object;
}

/* Is there room below the ceiling? With an object: then count it in. */
static bool ksysak_fits(u64 bytes, struct ksysak_object *object, struct list_head *list)
{
	unsigned long flags;
	bool fits;

	spin_lock_irqsave(&ksysak_lock, flags);
	fits = ksysak_outstanding + bytes <= ksysak_ceiling.value;
	if (fits && object) {
		list_add_tail(&object->list, list);
		ksysak_outstanding += bytes;
		ksysak_counts[object->place].allocations++;
		ksysak_counts[object->place].bytes += bytes;
	}
	spin_unlock_irqrestore(&ksysak_lock, flags);
	return fits;
}

static int ksysak_inject(gfp_t gfp)
{
	u8 place = ksysak_place.value;
	struct ksysak_object *object;
	struct list_head *list = &ksysak_kept;

	BUILD_BUG_ON(sizeof(struct ksysak_object) > LEAK_BYTES_MIN);
	if (!ksysak_fits(ksysak_largest, NULL, NULL))
		return -ENOSPC;
	object = ksysak_descend(place * KSYSAK_DEPTH, place, gfp);
	if (!object)
		return -ENOMEM;
	object->born = jiffies;
	object->bytes = leak_bytes(object);
	object->place = place;
	object->origin = leak_origin;
	ksysak_largest = max_t(u64, ksysak_largest, object->bytes);
	if (ksysak_share + ksysak_freed_percent.value >= 100)
		list = &ksysak_churned;
	if (!ksysak_fits(object->bytes, object, list)) {
		leak_free(object);
		return -ENOSPC;
	}
	ksysak_share = (ksysak_share + ksysak_freed_percent.value) % 100;
	if (list == &ksysak_churned)
		queue_delayed_work(ksysak_queue, &ksysak_tidy_work, KSYSAK_CHURN);
	return 0;
}

/* Allocate what is due. Returns whether more is due already. */
static bool ksysak_turn(gfp_t gfp, u64 longest_ns)
{
	u64 now_ns = ktime_get_ns(), rate = ksysak_rate.value, due;

	ksysak_credit += min_t(u64, now_ns - ksysak_last_ns, 10 * NSEC_PER_SEC) * rate;
	ksysak_last_ns = now_ns;
	due = div_u64(ksysak_credit, NSEC_PER_SEC);
	if (due > rate) { /* who is late for more than a second does not catch up */
		ksysak_add(&ksysak_missed, due - rate);
		ksysak_credit -= (due - rate) * NSEC_PER_SEC;
		due = rate;
	}
	for (; due && ktime_get_ns() - now_ns < longest_ns; due--) {
		int err = ksysak_inject(gfp);

		ksysak_credit -= NSEC_PER_SEC;
		if (err)
			ksysak_add(err == -ENOMEM ? &ksysak_failed : &ksysak_missed, 1);
	}
	return due;
}

static unsigned long ksysak_pace(void)
{
	return clamp_t(unsigned long, HZ / (unsigned long)ksysak_rate.value, 1, HZ / 10);
}

static void ksysak_tick_work(struct work_struct *unused)
{
	bool more = ksysak_turn(KSYSAK_GFP_WORK, KSYSAK_WORK_NS);

	queue_delayed_work(ksysak_queue, &ksysak_work, more ? 0 : ksysak_pace());
}

static void ksysak_tick_timer(struct timer_list *unused)
{
	ksysak_turn(KSYSAK_GFP_TIMER, KSYSAK_TIMER_NS);
	mod_timer(&ksysak_timer, jiffies + ksysak_pace());
}

/* Free the first object of the list, unless it is younger than that. */
static bool ksysak_free_first(struct list_head *list, unsigned long age)
{
	struct ksysak_object *object;
	unsigned long flags;

	spin_lock_irqsave(&ksysak_lock, flags);
	object = list_first_entry_or_null(list, struct ksysak_object, list);
	if (object && time_before(jiffies, object->born + age))
		object = NULL;
	if (object) {
		list_del(&object->list);
		ksysak_outstanding -= object->bytes;
		ksysak_counts[object->place].frees++;
		ksysak_counts[object->place].bytes -= object->bytes;
	}
	spin_unlock_irqrestore(&ksysak_lock, flags);
	if (object)
		leak_free(object);
	return object;
}

static void ksysak_tidy(struct work_struct *unused)
{
	while (ksysak_free_first(&ksysak_churned, KSYSAK_CHURN))
		cond_resched();
	if (!list_empty_careful(&ksysak_churned))
		queue_delayed_work(ksysak_queue, &ksysak_tidy_work, max_t(unsigned long, 1, KSYSAK_CHURN / 4));
}

static void ksysak_release(void)
{
	while (ksysak_free_first(&ksysak_kept, 0) || ksysak_free_first(&ksysak_churned, 0))
		cond_resched();
}

static void ksysak_pause(void)
{
	cancel_delayed_work_sync(&ksysak_work);
	timer_delete_sync(&ksysak_timer);
	cancel_delayed_work_sync(&ksysak_tidy_work);
}

static int ksysak_resume(void)
{
	if (!list_empty(&ksysak_churned))
		queue_delayed_work(ksysak_queue, &ksysak_tidy_work, 0);
	ksysak_largest = leak_bytes_wanted();
	ksysak_last_ns = ktime_get_ns();
	if (ksysak_run.value && ksysak_context.value == KSYSAK_WORK)
		queue_delayed_work(ksysak_queue, &ksysak_work, 0);
	if (ksysak_run.value && ksysak_context.value == KSYSAK_TIMER)
		mod_timer(&ksysak_timer, jiffies + 1);
	return 0;
}

static void ksysak_start(void)
{
	ksysak_credit = 0;
}

static int ksysak_valid(void)
{
	return leak_bytes_wanted() > ksysak_ceiling.value ? -EINVAL : leak_prepare();
}

static int ksysak_ready(void)
{
	u64 available = (u64)max(si_mem_available(), 0L) << PAGE_SHIFT;

	return ksysak_ceiling.value > (available + ksysak_outstanding) / 2 ? -ENOMEM : 0;
}

static int ksysak_open(void)
{
	return 0;
}

static void ksysak_close(void)
{
	leak_finish();
}

static int ksysak_show(char *text, int size)
{
	u64 allocations = 0, frees = 0;
	unsigned long flags;
	int place, length;

	spin_lock_irqsave(&ksysak_lock, flags);
	for (place = 0; place < KSYSAK_PLACES; place++) {
		allocations += ksysak_counts[place].allocations;
		frees += ksysak_counts[place].frees;
	}
	length = scnprintf(text, size,
			   "state %s\nttl_left_s %llu\nallocations %llu\nfrees %llu\n"
			   "outstanding_objects %llu\noutstanding_bytes %llu\nfailed %llu\nmissed %llu\n",
			   ksysak_state(), ksysak_ttl_left_s(), allocations, frees, allocations - frees, ksysak_outstanding, ksysak_failed,
			   ksysak_missed);
	for (place = 0; place < KSYSAK_PLACES; place++)
		length += scnprintf(text + length, size - length,
				    "place %s allocations %llu frees %llu outstanding_objects %llu outstanding_bytes %llu\n",
				    ksysak_place_names[place], ksysak_counts[place].allocations, ksysak_counts[place].frees,
				    ksysak_counts[place].allocations - ksysak_counts[place].frees, ksysak_counts[place].bytes);
	spin_unlock_irqrestore(&ksysak_lock, flags);
	return length;
}

/* The parameters that do something when they are written. */
static int ksysak_trigger_now(u64 objects)
{
	int err;

	if (ksysak_context.value != KSYSAK_CALL)
		return -EINVAL;
	err = ksysak_valid();
	if (!err)
		err = ksysak_ready();
	if (err)
		return err;
	if (!delayed_work_pending(&ksysak_ttl_work))
		ksysak_arm();
	for (; objects && !err; objects--) {
		err = fatal_signal_pending(current) ? -EINTR : ksysak_inject(KSYSAK_GFP_WORK);
		cond_resched();
	}
	if (err == -ENOMEM)
		ksysak_add(&ksysak_failed, 1);
	return err;
}

static int ksysak_release_now(u64 unused)
{
	ksysak_release();
	return 0;
}

static int ksysak_do(const char *text, const struct kernel_param *param)
{
	int (*action)(u64 number) = param->arg;
	const struct ksysak_setting number = { .min = 1, .max = action == ksysak_release_now ? 1 : 1000000 };
	u64 value;
	int err = ksysak_parse(text, &number, &value);

	if (err)
		return err;
	mutex_lock(&ksysak_control);
	if (ksysak_phase == KSYSAK_READY) {
		ksysak_pause();
		err = action(value);
		ksysak_resume();
	} else {
		err = -EINVAL;
	}
	mutex_unlock(&ksysak_control);
	return err;
}

static const struct kernel_param_ops ksysak_do_ops = { .set = ksysak_do };

module_param_cb(trigger, &ksysak_do_ops, ksysak_trigger_now, 0200);
MODULE_PARM_DESC(trigger, "with context=call, after loading: objects to allocate now in the writing process (1..1000000)");
module_param_cb(release, &ksysak_do_ops, ksysak_release_now, 0200);
MODULE_PARM_DESC(release, "after loading: 1 frees all that is outstanding");

#endif
