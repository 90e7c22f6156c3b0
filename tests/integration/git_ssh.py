# SPDX-License-Identifier: GPL-3.0-or-later
"""``git_ssh.py PORT HOST_KEY AUTHORIZED_KEYS``: an SSH server that runs Git's own commands for whoever has one of the keys."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import asyncssh


async def run(process):
    git = await asyncio.create_subprocess_exec("git", "shell", "-c", process.command or "", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
    await process.stdout.drain()
    await process.stderr.drain()
    process.exit(await git.wait())


async def main():
    port, host_key, authorized = sys.argv[1:]
    await asyncssh.listen(
        "127.0.0.1", int(port), server_host_keys=[host_key], authorized_client_keys=authorized, process_factory=run, encoding=None
    )
    await asyncio.Event().wait()


asyncio.run(main())
