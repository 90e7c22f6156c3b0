# SPDX-License-Identifier: GPL-3.0-or-later
"""What all engines that trace with bcc have in common."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import program

# More lost events than both make a result degraded; a handful in a quiet window changes nothing.
_LOST_SHARE = 0.001
_LOST_COUNT = 100
# Of what is only counted and summed, each event weighs the same: the result is wrong by no more than the share that was lost.
COUNTED_SHARE = 0.01


def is_degrading(lost, events, share=_LOST_SHARE):
    """Tell whether a result that lacks so many of all events is degraded."""
    return lost > max(_LOST_COUNT, share * events)


class BccEngine(Engine):
    """Opens in two steps that subclasses fill in: check_options, and compile_and_attach, which sets self._program."""

    NAME = 'bcc'

    def __init__(self, options):
        super().__init__(options)
        self._program = None

    def open(self):
        self.check_options()
        program.prepare()
        self.compile_and_attach()

    def check_options(self):
        """See whether this host has what the options name, before anything that takes time. Raises Unavailable."""

    def compile_and_attach(self):
        """Set self._program to a Program, all of whose functions are attached. Raises Unavailable."""
        raise NotImplementedError

    def account_lost(self, lost, seen, what, consequence, share=_LOST_SHARE):
        """Set lost_events and lost_share; too many of them make the result degraded.

        lost, seen: numbers of events; what: their name in the plural; consequence: what is wrong with the data then; share: of all
        events that may be lost.
        """
        self.lost_events = lost
        self.lost_share = round(lost / max(lost + seen, 1), 6)
        if is_degrading(lost, lost + seen, share):
            self.degradations.append('%d of %d %s were lost: %s' % (lost, lost + seen, what, consequence))

    def close(self):
        if self._program is not None:
            self._program.close()
