# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's version, as in galaxy.yml, which does not travel to the hosts."""

VERSION = '0.1.0'
