// SPDX-License-Identifier: GPL-2.0-only
/* Leaks areas of vmalloc(). */
#include <linux/vmalloc.h>

#define LEAK_SLEEPS
#include "ksysak_leak.h"

static struct ksysak_setting vmalloc_bytes = { .value = 16384, .min = LEAK_BYTES_MIN, .max = 64 << 20 };
KSYSAK_PARAM(bytes, vmalloc_bytes, "bytes an area, rounded up to whole pages (32..67108864, default 16384)");

static __always_inline void *leak_alloc(gfp_t unused)
{
	return vmalloc(vmalloc_bytes.value);
}

static void leak_free(struct ksysak_object *object)
{
	vfree(object);
}

static size_t leak_bytes(void *object)
{
	return PAGE_ALIGN(vmalloc_bytes.value);
}

static u64 leak_bytes_wanted(void)
{
	return leak_bytes(NULL);
}

static int leak_prepare(void)
{
	return 0;
}

static void leak_finish(void)
{
}

MODULE_DESCRIPTION("Leaks areas of vmalloc in a known amount at a known place, to prove leak detection");
