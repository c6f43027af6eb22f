"""The words of unit 06, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

GPU_KERNELS_WORDS = of_unit(
    "06_gpu_kernels",
    Term(
        "Epilogue",
        "The steps of a kernel between the finished sum and the store: scaling, bias, activation, rounding to codes. In the "
        "epilogue the numbers are still in registers, so these steps read and write no memory.",
        ("kernel-fusion", "requantization"),
    ),
    Term(
        "Kernel fusion",
        "Doing several operations in one kernel so that intermediate results are not written to memory. The arithmetic stays "
        "the same; there are fewer reads and writes, and fewer kernels to launch.",
        ("epilogue",),
    ),
    Term(
        "Mask",
        "A block of true and false that says which lanes of a load or store may read or write. It prevents the last block, "
        "which is not full, from reading and writing beyond the end of a tensor. In pruning the same word means which weights"
        " are kept.",
        ("tile", "program"),
    ),
    Term(
        "Program",
        "In Triton one of the many copies of a kernel that a launch starts. Each knows its number and works on a block of its"
        " own. Programs run in any order and at the same time, so none may depend on the results of another.",
        ("tile", "mask"),
    ),
    Term(
        "PTX",
        "The readable assembly language that all NVIDIA GPUs share. A compiler writes it, and the program ptxas translates it"
        " into the machine code of one generation of chips, which needs no GPU to be present.",
        ("register", "tensor-core"),
    ),
    Term(
        "Register",
        "The fastest memory of a processor, directly beside its arithmetic units. A thread of an NVIDIA GPU has at most 255 "
        "of 32 bits; numbers that do not fit are spilled to slow memory and read back.",
        ("tile", "accumulator"),
    ),
    Term(
        "Tensor core",
        "The part of a GPU that multiplies two small matrices in one instruction and adds the result to sums, for example "
        "int8 codes into int32. Matrix products without it are many times slower.",
        ("ptx", "accumulator"),
    ),
    Term(
        "Tile",
        "A rectangle of a matrix that one program works on. Its sums stay in registers while the rows and columns of the "
        "inputs are read; the larger the tile, the less often each input is read.",
        ("register", "program", "mask"),
    ),
)
