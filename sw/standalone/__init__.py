"""Import of the directories that the TVM-free compiler standalone-vta writes.

=============================  ===================================================================
``instructions.bin``           the instructions, 16 bytes each
``uop.bin``                    uops, 4 bytes each
``input.bin``                  INP elements, block by block (optional, as all that follow)
``weight.bin``                 WGT elements, each block transposed already: [out][in]
``accumulator.bin``            ACC elements, int32
``add_accumulator.bin``        the second operand of a sum of two matrices, likewise
``out.bin``, ``out_init.bin``  what OUT's area holds before the run; of any length, zeros follow
``expected_out.bin``           what it must hold afterwards
``memory_addresses.csv``       a row for each of inp, wgt, out, uop, acc, acc_bis (or add_acc, the
                               second accumulator) and insn: its name, its byte address and, in
                               later versions, its first element as instructions count
``vta_config.json``            the configuration, where it is not the default
=============================  ===================================================================

A layer with a name adds it to each of its files (``instructions_L1.bin``, ...), and several layers
may share a directory. ``expected_out_sram.bin``, what the scratchpad holds before the STOREs, is
not read. A ``metadata.csv`` marks a later format, which is refused.

Instructions count elements from address 0. Addresses of 0 in memory_addresses.csv mean what its
simulators do: pages of 4 KiB from 0x1000 on, in the order inp, wgt, out, uop, acc, insn.
"""

from vta.sw.standalone.files import find_layer
from vta.sw.standalone.importer import import_directory, notes

__all__ = ["find_layer", "import_directory", "notes"]
