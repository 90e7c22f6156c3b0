# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers of NVIDIA's Xid messages mean, after the catalog that NVIDIA publishes (docs.nvidia.com/deploy/xid-errors).

Only the numbers that its catalog describes; the driver's own text stands behind the number in the message.
"""

MEANINGS = {
    8: 'GPU stopped processing', 11: 'corrupted push buffer', 13: 'graphics engine exception',
    25: 'illegal push buffer', 31: 'GPU memory page fault', 32: 'corrupted push buffer', 37: 'driver firmware error',
    38: 'driver firmware error', 39: 'copy engine exception', 40: 'copy engine exception',
    41: 'copy engine exception', 43: 'GPU stopped processing', 44: 'fault during context switch',
    45: 'cleanup after an earlier error', 46: 'GPU stopped processing', 48: 'uncorrectable (double-bit) memory error',
    54: 'auxiliary power is not connected', 60: 'video processor exception', 62: 'micro-controller halted',
    63: 'memory row remapped or page retired', 64: 'memory row remapping or page retirement failed',
    66: 'illegal access by the driver', 67: 'illegal access by the driver', 68: 'video decoder exception',
    69: 'graphics engine class error', 74: 'NVLink error', 78: 'vGPU start error', 79: 'GPU fell off the bus',
    80: 'corrupted data sent to the GPU', 86: 'optical flow accelerator exception',
    92: 'high rate of single-bit memory errors', 93: 'InfoROM wear limit reached', 94: 'contained memory error',
    95: 'uncontained memory error', 109: 'context switch timeout', 110: 'security fault',
    119: 'GPU system processor (GSP) does not answer', 120: 'GPU system processor (GSP) error',
    121: 'corrected error of the link to the CPU', 136: 'NVLink training failed', 137: 'NVLink privilege error',
    140: 'unrecovered memory error', 141: 'CUDA fast path error', 143: 'GPU initialization error',
    144: 'NVLink error', 145: 'NVLink error', 146: 'NVLink error', 147: 'NVLink error', 148: 'NVLink error',
    149: 'NVLink error', 150: 'NVLink error', 151: 'key rotation error', 154: 'recovery action changed',
    155: 'NVLink went down', 156: 'resource retired', 157: 'resource could not be retired', 158: 'GPU fatal timeout',
    160: 'memory channel retired', 161: 'memory channel could not be retired', 167: 'PCI Express fatal timeout',
    169: 'micro-controller halted', 171: 'uncorrectable memory error (DRAM)',
    172: 'uncorrectable memory error (SRAM)',
}
