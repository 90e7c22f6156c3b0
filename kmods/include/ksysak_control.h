/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all injectors share: parameters that may be changed at any time, the
 * time to live, the file ground_truth, the way in and the way out.
 *
 * Each injector is one source file that includes one engine, which includes
 * this: all of it is static. An engine defines the functions declared below.
 */
#ifndef KSYSAK_CONTROL_H
#define KSYSAK_CONTROL_H

#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/version.h>
#include <linux/workqueue.h>

/* A parameter: a number, or the index of one of max + 1 names. */
struct ksysak_setting {
	u64 value;
	u64 min;
	u64 max;
	const char *const *names;
};

/* Parameters can be written before the module is set up and after its end. */
enum ksysak_phase { KSYSAK_LOADING, KSYSAK_READY, KSYSAK_LEAVING };

/* The engine's part. All but ksysak_show() are called with the injector paused. */
static int ksysak_open(void);
static void ksysak_close(void);   /* also frees what ksysak_valid() made */
static void ksysak_pause(void);   /* afterwards nothing of it runs anywhere */
static int ksysak_resume(void);   /* go on as the settings say */
static void ksysak_start(void);   /* run goes from 0 to 1 */
static int ksysak_valid(void);    /* do the settings fit each other? Makes what they need */
static int ksysak_ready(void);    /* may it run with these settings now? */
static void ksysak_release(void); /* free all that is outstanding */
static int ksysak_show(char *text, int size);

/* Held while settings change. The work that injects does not take it. */
static DEFINE_MUTEX(ksysak_control);
static enum ksysak_phase ksysak_phase;
static struct workqueue_struct *ksysak_queue;
static bool ksysak_expired;

static struct ksysak_setting ksysak_run = { .value = 0, .max = 1 };
static struct ksysak_setting ksysak_ttl = { .value = 600, .min = 1, .max = 86400 };

static void ksysak_expire(struct work_struct *unused)
{
	mutex_lock(&ksysak_control);
	if (ksysak_phase == KSYSAK_READY) {
		ksysak_pause();
		ksysak_run.value = 0;
		ksysak_expired = true;
		ksysak_release();
		ksysak_resume();
	}
	mutex_unlock(&ksysak_control);
}
static DECLARE_DELAYED_WORK(ksysak_ttl_work, ksysak_expire);

static void ksysak_arm(void)
{
	ksysak_expired = false;
	mod_delayed_work(ksysak_queue, &ksysak_ttl_work, ksysak_ttl.value * HZ);
}

static u64 ksysak_ttl_left_s(void)
{
	long left = ksysak_ttl_work.timer.expires - jiffies;

	return delayed_work_pending(&ksysak_ttl_work) && left > 0 ? left / HZ : 0;
}

static const char *ksysak_state(void)
{
	return ksysak_run.value ? "running" : ksysak_expired ? "expired" : "stopped";
}

static int ksysak_parse(const char *text, const struct ksysak_setting *setting, u64 *value)
{
	int index = setting->names ? __sysfs_match_string(setting->names, setting->max + 1, text) : -1;

	if (index >= 0) {
		*value = index;
		return 0;
	}
	if (kstrtoull(text, 0, value) || *value < setting->min || *value > setting->max)
		return -EINVAL;
	return 0;
}

/* Change one setting, or leave all as it was. */
static int ksysak_change(struct ksysak_setting *setting, u64 value)
{
	u64 before;
	int err, resumed;

	ksysak_pause();
	before = setting->value;
	setting->value = value;
	err = ksysak_valid();
	if (!err && ksysak_run.value)
		err = ksysak_ready();
	if (err) {
		setting->value = before;
		if (ksysak_valid() || (ksysak_run.value && ksysak_ready()))
			ksysak_run.value = 0;
	} else if (setting == &ksysak_run && value && !before) {
		ksysak_start();
		ksysak_arm();
	} else if (setting == &ksysak_ttl && delayed_work_pending(&ksysak_ttl_work)) {
		ksysak_arm();
	}
	resumed = ksysak_resume();
	return err ? err : resumed;
}

static int ksysak_set(const char *text, const struct kernel_param *param)
{
	struct ksysak_setting *setting = param->arg;
	u64 value;
	int err = ksysak_parse(text, setting, &value);

	if (err)
		return err;
	mutex_lock(&ksysak_control);
	if (ksysak_phase == KSYSAK_LOADING)
		setting->value = value;
	else
		err = ksysak_phase == KSYSAK_READY ? ksysak_change(setting, value) : -ENODEV;
	mutex_unlock(&ksysak_control);
	return err;
}

static int ksysak_get(char *text, const struct kernel_param *param)
{
	const struct ksysak_setting *setting = param->arg;

	if (setting->names)
		return scnprintf(text, PAGE_SIZE, "%s\n", setting->names[setting->value]);
	return scnprintf(text, PAGE_SIZE, "%llu\n", setting->value);
}

static const struct kernel_param_ops ksysak_param_ops = { .set = ksysak_set, .get = ksysak_get };

#define KSYSAK_PARAM(name, setting, text) \
	module_param_cb(name, &ksysak_param_ops, &(setting), 0644); \
	MODULE_PARM_DESC(name, text)

KSYSAK_PARAM(run, ksysak_run, "1 starts, 0 stops and keeps what is outstanding (0 or 1, default 0)");
KSYSAK_PARAM(ttl, ksysak_ttl, "seconds after the start at which it stops itself and frees everything (1..86400, default 600)");

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
static ssize_t ksysak_truth_show(const struct module_attribute *attribute, struct module_kobject *object, char *text)
#else
static ssize_t ksysak_truth_show(struct module_attribute *attribute, struct module_kobject *object, char *text)
#endif
{
	return ksysak_show(text, PAGE_SIZE);
}

static struct module_attribute ksysak_truth = __ATTR(ground_truth, 0444, ksysak_truth_show, NULL);

static int __init ksysak_init(void)
{
	int err;

	ksysak_queue = alloc_workqueue("%s", WQ_UNBOUND, 0, KBUILD_MODNAME);
	if (!ksysak_queue)
		return -ENOMEM;
	mutex_lock(&ksysak_control);
	err = ksysak_open();
	if (!err)
		err = ksysak_valid();
	if (!err && ksysak_run.value)
		err = ksysak_ready();
	if (!err)
		err = sysfs_create_file(&THIS_MODULE->mkobj.kobj, &ksysak_truth.attr);
	if (!err && ksysak_run.value) {
		ksysak_start();
		err = ksysak_resume();
		if (err)
			sysfs_remove_file(&THIS_MODULE->mkobj.kobj, &ksysak_truth.attr);
		else
			ksysak_arm();
	}
	if (!err)
		ksysak_phase = KSYSAK_READY;
	mutex_unlock(&ksysak_control);
	if (err) {
		ksysak_close();
		destroy_workqueue(ksysak_queue);
	}
	return err;
}
module_init(ksysak_init);

static void __exit ksysak_exit(void)
{
	mutex_lock(&ksysak_control);
	ksysak_phase = KSYSAK_LEAVING;
	ksysak_pause();
	mutex_unlock(&ksysak_control);
	cancel_delayed_work_sync(&ksysak_ttl_work);
	sysfs_remove_file(&THIS_MODULE->mkobj.kobj, &ksysak_truth.attr);
	ksysak_release();
	ksysak_close();
	destroy_workqueue(ksysak_queue);
}
module_exit(ksysak_exit);

MODULE_LICENSE("GPL v2");
MODULE_AUTHOR("KSysAK");

#endif
