// SPDX-License-Identifier: GPL-2.0-only
/* Leaks pages: blocks of 2^order. */
#include "ksysak_leak.h"

static struct ksysak_setting page_order = { .value = 0, .max = 8 };
KSYSAK_PARAM(order, page_order, "size of a block: 2^order pages (0..8, default 0)");

static __always_inline void *leak_alloc(gfp_t gfp)
{
	return (void *)__get_free_pages(gfp, page_order.value);
}

static void leak_free(struct ksysak_object *object)
{
	free_pages((unsigned long)object, get_order(object->bytes));
}

static size_t leak_bytes(void *object)
{
	return PAGE_SIZE << page_order.value;
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

MODULE_DESCRIPTION("Leaks pages in a known amount at a known place, to prove leak detection");
