"""The words of unit 06, sorted."""

from posttrain_lab.glossary.term import Term

UNIT = "06_gpu_kernels"
GPU_WORDS = (
    Term(
        "Epilogue",
        "What a kernel does with a finished sum before it is stored: scaling, bias, activation, rounding to codes. In the "
        "epilogue the numbers are still in registers, so these steps cost no trip through memory.",
        UNIT,
        ("kernel-fusion", "requantization"),
    ),
    Term(
        "Kernel fusion",
        "Doing several operations in one kernel so that results in between never go to memory. The arithmetic stays the "
        "same; reading and writing become less, and fewer kernels have to be started.",
        UNIT,
        ("epilogue",),
    ),
    Term(
        "Mask",
        "A block of true and false that says which lanes of a load or store may touch memory. It keeps the last block, "
        "which is not full, from reading and writing behind the end of a tensor. In pruning the same word means which "
        "weights are kept.",
        UNIT,
        ("tile", "program"),
    ),
    Term(
        "Program",
        "In Triton one of the many copies of a kernel that a launch starts. Each knows its number and works on a block "
        "of its own. Programs run in any order and at the same time, so none may depend on what another has done.",
        UNIT,
        ("tile", "mask"),
    ),
    Term(
        "PTX",
        "The readable assembly language that all NVIDIA GPUs share. A compiler writes it, and the program ptxas "
        "translates it into the machine code of one generation of chips, which needs no GPU to be present.",
        UNIT,
        ("register", "tensor-core"),
    ),
    Term(
        "Register",
        "The fastest memory of a processor, inside its arithmetic. A thread of an NVIDIA GPU has at most 255 of 32 bits; "
        "numbers that do not fit are spilled to slow memory and read back.",
        UNIT,
        ("tile", "accumulator"),
    ),
    Term(
        "Tensor core",
        "The part of a GPU that multiplies two small matrices in one instruction and adds the result to sums, for "
        "example int8 codes into int32. Matrix products outside of it are many times slower.",
        UNIT,
        ("ptx", "accumulator"),
    ),
    Term(
        "Tile",
        "A rectangle of a matrix that one program works on. Its sums stay in registers while rows and columns of the "
        "inputs stream by; the larger the tile, the less often each input is read.",
        UNIT,
        ("register", "program", "mask"),
    ),
)
