// SPDX-License-Identifier: GPL-2.0-only
/* Keeps a CPU busy in the kernel without rescheduling; interrupts come through. */
#include "ksysak_latency.h"

static noinline __noclone void ksysak_nosched_spin(struct ksysak_delay *delay, u64 length_ns)
{
	preempt_disable();
	delay->cpu = smp_processor_id();
	delay->start_ns = ktime_get_ns();
	do {
		cpu_relax();
		delay->length_ns = ktime_get_ns() - delay->start_ns;
	} while (delay->length_ns < length_ns);
	preempt_enable();
}

static void latency_delay(struct ksysak_delay *delay, u64 length_ns)
{
	ksysak_nosched_spin(delay, length_ns);
}

MODULE_DESCRIPTION("Keeps a CPU busy in the kernel without rescheduling for a known time, to prove latency probes");
