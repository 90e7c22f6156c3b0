// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps a CPU busy in the kernel without rescheduling, though another task
 * wants that CPU all the time; interrupts come through.
 */
#include "ksysak_latency.h"
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 9, 0)
#include <uapi/linux/sched/types.h>
#endif

static struct task_struct *ksysak_rival;

/* Real-time, so that the kernel wishes to switch to it at once. */
static void ksysak_become_realtime(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 9, 0)
	sched_set_fifo_low(current);
#else
	struct sched_param param = { .sched_priority = 1 };

	sched_setscheduler(current, SCHED_FIFO, &param);
#endif
}

/* The other task: it wants the CPU when it is woken, and has nothing to do there. */
static int ksysak_want_cpu(void *unused)
{
	ksysak_become_realtime();
	while (!kthread_should_stop())
		ksysak_sleep(MAX_SCHEDULE_TIMEOUT);
	return 0;
}

static noinline __noclone void ksysak_nosched_spin(struct ksysak_delay *delay, u64 length_ns)
{
	preempt_disable();
	wake_up_process(ksysak_rival);
	ksysak_spin(delay, length_ns);
	preempt_enable();
}

static void latency_delay(struct ksysak_delay *delay, u64 length_ns)
{
	ksysak_nosched_spin(delay, length_ns);
}

static int latency_begin(void)
{
	return ksysak_begin_thread(&ksysak_rival, ksysak_want_cpu, "ks-rival");
}

static void latency_end(void)
{
	ksysak_end_thread(&ksysak_rival);
}

MODULE_DESCRIPTION("Keeps a CPU busy in the kernel without rescheduling for a known time, to prove latency probes");
