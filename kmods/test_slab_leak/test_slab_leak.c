// SPDX-License-Identifier: GPL-2.0-only
/* Leaks slab objects: of kmalloc(), or of a cache of its own, one by one or in bulk. */
#include <linux/slab.h>

#include "ksysak_leak.h"

static struct ksysak_setting slab_bytes = { .value = 256, .min = LEAK_BYTES_MIN, .max = 1 << 20 };
KSYSAK_PARAM(bytes, slab_bytes, "bytes an object (32..1048576, default 256)");

enum slab_origin { FROM_KMALLOC, FROM_CACHE, FROM_BULK };
static struct ksysak_setting slab_cache = { .value = FROM_KMALLOC, .max = FROM_BULK };
KSYSAK_PARAM(cache, slab_cache,
	     "0: kmalloc, 1: the cache ksysak_test_leak of its own, 2: that in bulk, 16 objects at a time (0..2, default 0)");

static struct kmem_cache *slab_own;
static u64 slab_own_bytes;

/* Of the one who allocates: objects that were allocated in bulk and are not given out yet. */
static void *slab_batch[16];
static unsigned int slab_left;

static __always_inline void *leak_alloc(gfp_t gfp)
{
	if (leak_origin == FROM_KMALLOC)
		return kmalloc(slab_bytes.value, gfp);
	if (leak_origin == FROM_CACHE)
		return kmem_cache_alloc(slab_own, gfp);
	if (!slab_left && kmem_cache_alloc_bulk(slab_own, gfp, ARRAY_SIZE(slab_batch), slab_batch))
		slab_left = ARRAY_SIZE(slab_batch);
	return slab_left ? slab_batch[--slab_left] : NULL;
}

static void slab_drop_batch(void)
{
	while (slab_left)
		kmem_cache_free(slab_own, slab_batch[--slab_left]);
}

static void leak_free(struct ksysak_object *object)
{
	if (object->origin)
		kmem_cache_free(slab_own, object);
	else
		kfree(object);
}

static size_t leak_bytes(void *object)
{
	return ksize(object);
}

static u64 leak_bytes_wanted(void)
{
	return slab_bytes.value;
}

/* A cache with a constructor is never merged with another one. */
static void slab_construct(void *unused)
{
}

static int leak_prepare(void)
{
	leak_origin = slab_cache.value;
	if (!leak_origin || (slab_own && slab_own_bytes == slab_bytes.value))
		return 0;
	if (ksysak_outstanding)
		return -EBUSY; /* there is one cache, and its objects have one size */
	slab_drop_batch();
	kmem_cache_destroy(slab_own);
	slab_own = kmem_cache_create("ksysak_test_leak", slab_bytes.value, 0, 0, slab_construct);
	slab_own_bytes = slab_bytes.value;
	return slab_own ? 0 : -ENOMEM;
}

static void leak_finish(void)
{
	slab_drop_batch();
	kmem_cache_destroy(slab_own);
}

MODULE_DESCRIPTION("Leaks slab objects in a known amount at a known place, to prove leak detection");
