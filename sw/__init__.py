"""Software for VTA: programs, assembler, checker, golden model, compiler, operators."""
