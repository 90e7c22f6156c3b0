# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all probe modules have in common."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  duration:
    description:
      - Length of the window in seconds, from 1 to 3600.
      - Setting up and reading usually take a few seconds more, and at most 270 s beyond the window.
    type: int
    default: 20
requirements:
  - Linux on x86_64, and root.
attributes:
  check_mode:
    description: In check mode nothing is measured; what could be measured is looked up.
    support: full
  diff_mode:
    description: Nothing on the host is changed.
    support: none
  async:
    description: Can be run with C(async).
    support: full
  action_group:
    description: Use C(group/ksysak.fleet.probes) in C(module_defaults).
    support: full
    membership: [ksysak.fleet.probes]
"""

    EBPF = r"""
options: {}
requirements:
  - bcc for the host's own Python (python3-bpfcc on Debian and Ubuntu, python3-bcc elsewhere). Kernel headers are not needed.
    Without bcc the kernel's own counters are read, and the result says V(degraded).
notes:
  - Where a Python with bcc is found on the host, the module goes on under that one, whatever C(ansible_python_interpreter) says.
"""
