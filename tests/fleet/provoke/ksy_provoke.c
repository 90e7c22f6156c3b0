// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the kernel report what it reports when something is broken, for logs whose truth is known.
 * Only for a machine that is thrown away: most of it kills the process that writes, or leaves damage behind.
 *
 *	echo NAME > /proc/ksy_provoke
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/proc_fs.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#ifdef CONFIG_KFENCE
#include <linux/kfence.h>
#endif

#define SPIN_S 12
#define ORDER 10
#define MAX_BLOCKS 4096
#define KFENCE_TRIES 20000

static int *volatile nowhere = (int *)0x10;
static int *volatile wild = (int *)0x6b6b6b6b6b6b6b6bUL;
static volatile int zero;
static volatile char sink;
static volatile size_t little = 64, too_much = 128;
static struct page *blocks[MAX_BLOCKS];
static struct net_device *held;
static char __user *writer;
static DEFINE_MUTEX(lock);
static DECLARE_COMPLETION(never);

static noinline void provoke_warning(void)
{
	WARN(1, "provoked\n");
}

static noinline void provoke_bug(void)
{
	BUG();
}

static noinline void provoke_null(void)
{
	*nowhere = 1;
}

static noinline void provoke_wild(void)
{
	*wild = 1;
}

static noinline void provoke_divide(void)
{
	zero = 100 / zero;
}

static noinline void provoke_list(void)
{
	LIST_HEAD(head);
	struct list_head first, second;

	list_add(&first, &head);
	first.prev = &second;
	list_add(&second, &head);
}

static noinline void provoke_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static noinline void copy_too_much(char *object)
{
	if (copy_to_user(writer, object, too_much))
		pr_info("ksy_provoke: not copied\n");
	kfree(object);
}

static noinline void provoke_usercopy(void)
{
	copy_too_much(kmalloc(little, GFP_KERNEL));
}

static noinline void provoke_sleep(void)
{
	local_bh_disable();
	msleep(1);
	local_bh_enable();
}

static noinline void provoke_spin(void)
{
	ktime_t end = ktime_add_ms(ktime_get(), SPIN_S * 1000);

	preempt_disable();
	while (ktime_before(ktime_get(), end))
		cpu_relax();
	preempt_enable();
}

static noinline void provoke_pages(void)
{
	int count = 0;

	while (count < MAX_BLOCKS && (blocks[count] = alloc_pages(GFP_KERNEL | __GFP_NORETRY, ORDER)))
		count++;
	while (count)
		__free_pages(blocks[--count], ORDER);
}

static noinline void provoke_hold(void)
{
	mutex_lock(&lock);
	pr_notice("ksy_provoke: held\n");
	wait_for_completion_interruptible(&never);
	mutex_unlock(&lock);
}

static noinline void provoke_wait(void)
{
	mutex_lock(&lock);
	mutex_unlock(&lock);
}

static noinline void provoke_net_hold(void)
{
	held = dev_get_by_name(&init_net, "made0");
}

static noinline void provoke_net_release(void)
{
	dev_put(held);
}

#ifdef CONFIG_KFENCE
static noinline void provoke_kfence(void)
{
	int tries;

	for (tries = 0; tries < KFENCE_TRIES; tries++) {
		char *object = kmalloc(32, GFP_KERNEL);
		bool guarded = is_kfence_address(object);

		kfree(object);
		if (guarded) {
			sink = *(volatile char *)object;
			return;
		}
		usleep_range(100, 200);
	}
}
#endif

static const struct {
	const char *name;
	void (*act)(void);
} acts[] = {
	{ "warning", provoke_warning }, { "bug", provoke_bug }, { "null", provoke_null }, { "wild", provoke_wild },
	{ "divide", provoke_divide }, { "list", provoke_list }, { "refcount", provoke_refcount },
	{ "usercopy", provoke_usercopy }, { "sleep", provoke_sleep }, { "spin", provoke_spin },
	{ "pages", provoke_pages }, { "hold", provoke_hold }, { "wait", provoke_wait },
	{ "net_hold", provoke_net_hold }, { "net_release", provoke_net_release },
#ifdef CONFIG_KFENCE
	{ "kfence", provoke_kfence },
#endif
};

static ssize_t provoke_write(struct file *file, const char __user *buffer, size_t length, loff_t *offset)
{
	char name[16] = "";
	size_t at;

	if (length >= sizeof(name) || copy_from_user(name, buffer, length))
		return -EINVAL;
	writer = (char __user *)buffer;
	for (at = 0; at < ARRAY_SIZE(acts); at++) {
		if (!strcmp(strim(name), acts[at].name)) {
			acts[at].act();
			return length;
		}
	}
	return -EINVAL;
}

static const struct proc_ops operations = { .proc_write = provoke_write };

static int __init provoke_init(void)
{
	return proc_create("ksy_provoke", 0200, NULL, &operations) ? 0 : -ENOMEM;
}

static void __exit provoke_exit(void)
{
	remove_proc_entry("ksy_provoke", NULL);
}

module_init(provoke_init);
module_exit(provoke_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Makes kernel reports on purpose");
