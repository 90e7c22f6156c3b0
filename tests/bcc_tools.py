# SPDX-License-Identifier: GPL-3.0-or-later
"""bcc's own tools, run where no kernel headers are: what ours are compared with.

They want a mounted tracefs and header files. Ours do for memleak; runqlat reads a kernel structure, so it gets a header that has the
places of the running kernel. Another kernel's would make it measure something else, without a word.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"
TRACEFS = "/sys/kernel/tracing"
# The command, and a word of its output that says that it measures.
TOOLS = {"memleak": (["memleak-bpfcc", "3600"], "Attaching"), "runqlat": (["runqlat-bpfcc", "3600", "1"], "Tracing")}

OURS = """
import sys
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, headers
headers.write_tree(sys.argv[1])
for member in "__state", "state":
    places = btf.offsets("task_struct", [member, "pid", "tgid"])
    if places:
        print(member, *(places[name] for name in (member, "pid", "tgid")))
        break
"""
SCHED = """
#pragma once
#include <linux/types.h>
#define TASK_RUNNING 0
#define __always_inline inline __attribute__((always_inline))
struct ns_common { unsigned int inum; };
struct pid_namespace { struct ns_common ns; };
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct task_struct { union {
  struct { char until_state[%d]; unsigned int %s; };
  struct { char until_pid[%d]; pid_t pid; };
  struct { char until_tgid[%d]; pid_t tgid; };
  struct pid *thread_pid;  /* read with an option only */
}; };
"""


class Unable(Exception):
    """The tool cannot run here."""


def installed():
    """Return the names of the tools that are here."""
    return [name for name, (command, _word) in TOOLS.items() if shutil.which(command[0])]


def write_headers(folder, imports):
    """Write the header files into a folder. imports: the folder that Python finds the collection in. Raises Unable."""
    env = dict(os.environ, PYTHONPATH=str(imports))
    made = subprocess.run([PYTHON, "-c", OURS, str(folder)], env=env, check=True, stdout=subprocess.PIPE, text=True)
    if not made.stdout:
        raise Unable("the kernel does not tell where things are")
    state, state_at, pid_at, tgid_at = made.stdout.split()
    linux = Path(folder, "include/linux")
    (linux / "sched.h").write_text(SCHED % (int(state_at), state, int(pid_at), int(tgid_at)))
    for name in ("nsproxy", "pid_namespace", "init_task"):
        (linux / (name + ".h")).write_text("")


@contextmanager
def running(name, headers, *options):
    """The tool while it measures, as a Popen with its output. Raises Unable."""
    command, word = TOOLS[name]
    mounted = ["unshare", "--mount", "sh", "-ec", f'mountpoint -q {TRACEFS} || mount -t tracefs none {TRACEFS}; exec "$@"', "sh"]
    # A shell's background jobs, and all that they start, ignore interrupts; the tools end by them.
    command = ["env", "--default-signal=INT", *mounted, PYTHON, "-u", shutil.which(command[0]), *options, *command[1:]]
    env = {**os.environ, "BCC_KERNEL_SOURCE": str(headers)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as tool:
        try:
            if not any(word in line for line in tool.stdout):
                raise Unable(name + " ended at once")
            yield tool
        finally:
            tool.kill()
