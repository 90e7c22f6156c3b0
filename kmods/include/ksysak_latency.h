/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine of the latency injectors: a thread on one CPU that delays it for
 * a given time, at intervals, and notes each delay.
 *
 * After including this, the module defines the functions declared below.
 */
#ifndef KSYSAK_LATENCY_H
#define KSYSAK_LATENCY_H

#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

#include "ksysak_control.h"

struct ksysak_delay {
	u64 start_ns; /* CLOCK_MONOTONIC */
	u64 length_ns;
	u64 gap_ns; /* longest time between two reads of the clock: something else had the CPU, as a hypervisor or an interrupt */
	int cpu;
};

/* Spin for that time on this CPU. */
static __always_inline void ksysak_spin(struct ksysak_delay *delay, u64 length_ns)
{
	u64 now_ns, last_ns;

	delay->cpu = smp_processor_id();
	delay->gap_ns = 0;
	delay->start_ns = last_ns = ktime_get_ns();
	do {
		cpu_relax();
		now_ns = ktime_get_ns();
		delay->gap_ns = max(delay->gap_ns, now_ns - last_ns);
		last_ns = now_ns;
	} while (now_ns - delay->start_ns < length_ns);
	delay->length_ns = now_ns - delay->start_ns;
}

/* Keep the CPU for that time and note start, length and CPU. */
static void latency_delay(struct ksysak_delay *delay, u64 length_ns);
/* Before the first delay and after the last one: begin and end what it needs on the CPU. */
static int latency_begin(void);
static void latency_end(void);

#define KSYSAK_DELAYS 64

static struct ksysak_setting ksysak_duration_us = { .value = 10000, .min = 1, .max = 1000000 };
static struct ksysak_setting ksysak_interval_ms = { .value = 1000, .min = 1, .max = 3600000 };
static struct ksysak_setting ksysak_cpu = { .value = 0, .max = NR_CPUS - 1 };
static struct ksysak_setting ksysak_count = { .value = 0, .max = 1000000000 };

KSYSAK_PARAM(duration_us, ksysak_duration_us, "microseconds a delay (1..1000000, default 10000)");
KSYSAK_PARAM(interval_ms, ksysak_interval_ms, "milliseconds before each delay in which the CPU is left alone (1..3600000, default 1000)");
KSYSAK_PARAM(cpu, ksysak_cpu, "number of the CPU that is delayed (default 0)");
KSYSAK_PARAM(count, ksysak_count, "delays of a run, 0 until stopped (default 0)");

static struct task_struct *ksysak_thread;
static u64 ksysak_left; /* delays of this run */

/* Under ksysak_log. */
static DEFINE_MUTEX(ksysak_log);
static struct ksysak_delay ksysak_delays[KSYSAK_DELAYS];
static int ksysak_pids[KSYSAK_DELAYS];
static u64 ksysak_done, ksysak_total_ns, ksysak_longest_ns;

static void ksysak_note(const struct ksysak_delay *delay)
{
	mutex_lock(&ksysak_log);
	ksysak_delays[ksysak_done % KSYSAK_DELAYS] = *delay;
	ksysak_pids[ksysak_done % KSYSAK_DELAYS] = task_pid_nr(current);
	ksysak_done++;
	ksysak_total_ns += delay->length_ns;
	ksysak_longest_ns = max(ksysak_longest_ns, delay->length_ns);
	mutex_unlock(&ksysak_log);
}

static void ksysak_sleep(long timeout)
{
	set_current_state(TASK_IDLE);
	if (!kthread_should_stop())
		schedule_timeout(timeout);
	__set_current_state(TASK_RUNNING);
}

static int ksysak_delay_cpu(void *unused)
{
	while (ksysak_run.value) {
		struct ksysak_delay delay;

		ksysak_sleep(msecs_to_jiffies(ksysak_interval_ms.value));
		if (kthread_should_stop())
			return 0;
		latency_delay(&delay, ksysak_duration_us.value * NSEC_PER_USEC);
		ksysak_note(&delay);
		/* Nobody else writes run while this thread is there. */
		if (ksysak_count.value && !--ksysak_left)
			WRITE_ONCE(ksysak_run.value, 0);
	}
	while (!kthread_should_stop())
		ksysak_sleep(MAX_SCHEDULE_TIMEOUT);
	return 0;
}

/* Begin a thread on the CPU, and note it there. Its name is that and the CPU's number. */
static int ksysak_begin_thread(struct task_struct **thread, int (*work)(void *), const char *name)
{
	struct task_struct *made = kthread_create(work, NULL, "%s/%u", name, (unsigned int)ksysak_cpu.value);

	if (IS_ERR(made))
		return PTR_ERR(made);
	kthread_bind(made, ksysak_cpu.value);
	*thread = made;
	wake_up_process(made);
	return 0;
}

static void ksysak_end_thread(struct task_struct **thread)
{
	if (*thread)
		kthread_stop(*thread);
	*thread = NULL;
}

static void ksysak_pause(void)
{
	ksysak_end_thread(&ksysak_thread);
	latency_end();
}

static int ksysak_resume(void)
{
	int err;

	if (!ksysak_run.value)
		return 0;
	err = latency_begin();
	if (!err)
		err = ksysak_begin_thread(&ksysak_thread, ksysak_delay_cpu, KBUILD_MODNAME);
	if (err) {
		latency_end();
		ksysak_run.value = 0;
	}
	return err;
}

static void ksysak_start(void)
{
	ksysak_left = ksysak_count.value;
}

static int ksysak_valid(void)
{
	return ksysak_cpu.value < nr_cpu_ids && cpu_possible(ksysak_cpu.value) ? 0 : -EINVAL;
}

static int ksysak_ready(void)
{
	return cpu_online(ksysak_cpu.value) ? 0 : -EINVAL;
}

/* With ticks as its only clock a CPU could not measure a delay of them. */
static int ksysak_open(void)
{
	return ktime_get_resolution_ns() < NSEC_PER_USEC ? 0 : -ENODEV;
}

static void ksysak_close(void)
{
}

static void ksysak_release(void)
{
}

static int ksysak_line(char *text, int size, u64 number)
{
	const struct ksysak_delay *delay = &ksysak_delays[number % KSYSAK_DELAYS];

	return snprintf(text, size, "delay %llu cpu %d pid %d start_ns %llu length_ns %llu gap_ns %llu\n", number + 1, delay->cpu,
			ksysak_pids[number % KSYSAK_DELAYS], delay->start_ns, delay->length_ns, delay->gap_ns);
}

/* The newest delays that fit, oldest first. */
static int ksysak_show(char *text, int size)
{
	int length, more = 0;
	u64 first;

	mutex_lock(&ksysak_log);
	length = scnprintf(text, size, "state %s\nttl_left_s %llu\ndelays %llu\ntotal_ns %llu\nlongest_ns %llu\n", ksysak_state(),
			   ksysak_ttl_left_s(), ksysak_done, ksysak_total_ns, ksysak_longest_ns);
	for (first = ksysak_done; first && ksysak_done - first < KSYSAK_DELAYS; first--) {
		more += ksysak_line(NULL, 0, first - 1);
		if (length + more >= size)
			break;
	}
	for (; first < ksysak_done; first++)
		length += ksysak_line(text + length, size - length, first);
	mutex_unlock(&ksysak_log);
	return length;
}

#endif
