# SPDX-License-Identifier: GPL-3.0-or-later
"""Another program's output, read without ever waiting for it."""

import os
import select
import subprocess

from ansible.module_utils.common.process import get_bin_path

_CHUNK = 64 * 1024


class Pipe:
    """A running program, its output and its errors."""

    def __init__(self, command, stdin=None):
        environment = {'LC_ALL': 'C', 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'SYSTEMD_COLORS': '0', 'TZ': os.environ.get('TZ', '')}
        if not environment['TZ']:
            del environment['TZ']
        self._null = open(os.devnull, 'rb')
        self._errors = b''
        self.code = None
        self._process = subprocess.Popen(command, stdin=stdin if stdin is not None else self._null, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, env=environment, close_fds=True, cwd='/')
        for stream in (self._process.stdout, self._process.stderr):
            os.set_blocking(stream.fileno(), False)

    def chunks(self):
        """Yield bytes, and None where there is nothing yet. At the end, code is the program's exit code."""
        output, errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        open_fds = [output, errors]
        while output in open_fds:
            ready = select.select(open_fds, [], [], 0)[0]
            if not ready:
                yield None
                continue
            for fd in ready:
                chunk = os.read(fd, _CHUNK)
                if not chunk:
                    open_fds.remove(fd)
                elif fd == errors:
                    self._errors = (self._errors + chunk)[:512]
                else:
                    yield chunk
        while self._process.poll() is None:
            yield None
        self.code = self._process.returncode

    def stderr_text(self):
        return self._errors.decode('utf-8', 'replace').strip().replace('\n', ' ')[:200]

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        for stream in (self._process.stdout, self._process.stderr, self._null):
            stream.close()
        self._process.wait()


def program(name):
    """Path of a program of this host, or None."""
    try:
        return get_bin_path(name)
    except ValueError:
        return None
