# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's log on the machine: 'begin' marks a place in it, 'wait TEXT' waits until a later line has the text."""

import os
import select
import sys
import time

MARK = "ksy_provoke: begin"
LIMIT_S = 300


def begin():
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write("<5>%s\n" % MARK)


def wait(text):
    """Return once a line behind the last mark has the text; exits with what is wrong when none comes."""
    end_s = time.monotonic() + LIMIT_S
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    found = False
    while True:
        try:
            record = os.read(fd, 8192).decode("utf-8", "replace")
        except BlockingIOError:
            if found:
                return
            if not select.select([fd], [], [], max(0, end_s - time.monotonic()))[0]:
                sys.exit("no line with %r in %d s" % (text, LIMIT_S))
            continue
        found = MARK not in record and (found or text in record)


if __name__ == "__main__":
    begin() if sys.argv[1] == "begin" else wait(sys.argv[2])
