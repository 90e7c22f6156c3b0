# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the get-pip script that ansible-test would download: pip comes from ensurepip instead.

ansible-test calls it with the packages to install and perhaps ``--no-setuptools`` and ``--no-wheel``.
"""

import subprocess
import sys


def main(arguments):
    """Bootstrap pip into this (virtual) environment, then let it install the packages asked for."""
    # As a process of its own: ensurepip switches pip's configuration off, which the download below needs.
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    wanted = [argument for argument in arguments if argument not in ("--no-setuptools", "--no-wheel")]
    return subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
