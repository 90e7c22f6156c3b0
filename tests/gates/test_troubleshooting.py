# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages in the page about troubles are those that the collection prints."""

import re
import subprocess
import sys

# Printed by sudo, Ansible or the reader's own variables, not by the collection.
OF_OTHERS = ("Missing sudo password", "sudo: a password is required", "sorry, you must have a tty to run sudo")
STATES = ("unreachable", "failed", "lost", "missing")


def test_every_message_is_one_of_the_collection(repo, files):
    # The table of reasons is written from the code.
    text = re.sub(r"(?s)<!-- reasons: .*?<!-- end of reasons -->", "", (repo / "docs" / "troubleshooting.md").read_text())
    quoted = [message for line in text.splitlines() if line.startswith("| `") for message in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(quoted) > 20
    shipped = [name for name in files if name.parts[0] in ("plugins", "roles", "playbooks") and name.suffix in (".py", ".yml")]
    sources = [(repo / name).read_text() for name in shipped]
    # Without line ends and quotes, for messages that are written in several pieces.
    source = re.sub(r"[\"']\s*f?[\"']", "", "\n".join(sources))
    source = re.sub(r"\s+", " ", source)
    missing = []
    for message in quoted:
        if message in (*OF_OTHERS, *STATES):
            continue
        # Values that change are an ellipsis, a quoted word or a number.
        pieces = re.split(r"…|'[^']*'|\b\d+%?|ksysak_duration|memleak|sampel|fastjsonschema", message)
        pieces = [piece.strip(" ;:?,()") for piece in pieces]
        missing += [message for piece in pieces if len(piece) > 8 and piece not in source]
    assert missing == []


def test_all_that_a_host_can_lack_is_in_the_page_with_a_remedy(repo):
    """As tools/messages.py reads it from the code."""
    done = subprocess.run([sys.executable, repo / "tools/messages.py", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    table = (repo / "docs" / "troubleshooting.md").read_text().partition("<!-- reasons: ")[2].partition("<!-- end of reasons -->")[0]
    assert "| `not root (effective user id …)` | Run the play with become: true. |" in table
    assert all(len(row.split(" | ")) == 2 and len(row.split(" | ")[1]) > 10 for row in table.splitlines() if row.startswith("| `"))
