# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the injectors have in common."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(present) loads the injector and lets it run with these parameters. One that runs with other parameters is changed in place.
      - V(absent) stops it, frees all that it holds and unloads it. Needs no O(confirm).
    type: str
    choices: [present, absent]
    default: present
  confirm:
    description:
      - Must be V(true) for O(state=present). An injector does harm on purpose, to a running kernel.
    type: bool
    default: false
  ttl_s:
    description:
      - Seconds after which the injector stops by itself and frees everything, from 1 to 86400.
      - The safety net for a play that is interrupted.
    type: int
    default: 600
  ko:
    description:
      - Path on the host of the kernel module, built before for the running kernel. Without it the module is built on the host.
    type: path
  sources:
    description:
      - Sources of the kernel modules by path. Filled in on the controller from the collection; there is no need to give it.
    type: dict
requirements:
  - Linux on x86_64, and root.
  - gcc, make and the headers of the running kernel, unless O(ko) is given.
  - A kernel that loads unsigned modules (no lockdown, no enforced signatures).
attributes:
  check_mode:
    description: In check mode nothing is changed; the actions are returned, and what stands against them is refused.
    support: full
  diff_mode:
    description: The actions are returned in words.
    support: none
  async:
    description: Is not needed; an injector goes on without its task.
    support: none
  action:
    description: Has an action plugin, which adds the sources of the kernel modules.
    support: full
notes:
  - The module is built in a folder in memory that goes with the task however it ends.
  - Loading it taints the kernel (O, E) until the next boot.
author:
  - ksysak.fleet maintainers (@ksysak)
"""
