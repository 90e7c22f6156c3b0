// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the interrupts of a CPU off. */
#include "ksysak_latency.h"

static noinline __noclone void ksysak_irqoff_spin(struct ksysak_delay *delay, u64 length_ns)
{
	unsigned long flags;

	local_irq_save(flags);
	ksysak_spin(delay, length_ns);
	local_irq_restore(flags);
}

static void latency_delay(struct ksysak_delay *delay, u64 length_ns)
{
	ksysak_irqoff_spin(delay, length_ns);
}

static int latency_begin(void)
{
	return 0;
}

static void latency_end(void)
{
}

MODULE_DESCRIPTION("Keeps the interrupts of a CPU off for a known time, to prove latency probes");
