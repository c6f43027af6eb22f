"""The words of unit 05, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

CPU_KERNELS_WORDS = of_unit(
    "05_cpu_kernels",
    Term(
        "Arithmetic intensity",
        "The number of operations of a task for each byte that it moves between memory and processor. A product of large "
        "matrices has a high one, a product with a single row a low one: about two operations for each int8 weight.",
        ("roofline", "mac", "bytes-of-a-model"),
    ),
    Term(
        "Bandwidth",
        "The number of bytes per second that can be moved between memory and processor. A layer that processes one example at"
        " a time reads each weight for one multiplication only, so bandwidth is its limit.",
        ("arithmetic-intensity", "roofline"),
    ),
    Term(
        "Compressed sparse rows (CSR)",
        "A storage format for matrices with many zeros: the nonzero values row by row, the column of each, and for each row "
        "where its values begin. A nonzero float32 weight takes 8 bytes.",
        ("sparsity", "n-m-sparsity"),
    ),
    Term(
        "Kernel",
        "The innermost function that computes an operation, such as a product of matrices, written for one kind of processor."
        " Not the kernel of a convolution, which is its filter, nor that of a notebook.",
        ("simd", "tiling"),
    ),
    Term(
        "N:M sparsity",
        "Of each M neighbouring weights only N are kept, in 2:4 sparsity two of four (Mishra et al., 2021). In 2:4 sparsity "
        "the position of a kept weight needs 2 bits only, and some GPUs skip the zeros in hardware.",
        ("sparsity", "compressed-sparse-rows"),
    ),
    Term(
        "Nibble",
        "Half a byte: 4 bits, 16 values. As a signed number in two's complement it goes from -8 to 7, and unpacking must "
        "extend the sign bit.",
        ("code", "packing"),
    ),
    Term(
        "Packing",
        "Storing weights in the order in which a kernel reads them, or several codes in one byte. It is done once, when the "
        "model is loaded, and changes no value.",
        ("kernel", "nibble", "tiling"),
    ),
    Term(
        "Roofline",
        "A figure of speed over arithmetic intensity (Williams et al., 2009). Left of the ridge point the limit is the "
        "bandwidth, a slope; right of it the peak of the processor, a flat roof.",
        ("arithmetic-intensity", "bandwidth"),
    ),
    Term(
        "SIMD",
        "Single instruction, multiple data: one instruction of the processor works on all numbers of a wide register, for "
        "example 16 sums of 32 bits. A program that multiplies one pair at a time leaves most of the processor idle.",
        ("vnni", "kernel"),
    ),
    Term(
        "Tiling",
        "Cutting a product of matrices into blocks whose elements stay in a cache or in registers while they are used many "
        "times (Goto and van de Geijn, 2008).",
        ("packing", "arithmetic-intensity", "kernel"),
    ),
)
