"""The other words of the course, G to O, sorted."""

from posttrain_lab.glossary.term import Term

G_TO_O = (
    Term(
        "GPTQ",
        "A way to round the weights of a layer one column after another, where the columns still to come make up for "
        "the error made so far (Frantar et al., 2022). It looks at the layer's inputs, so it lowers the error of the "
        "output, not that of the weights.",
        "02_quantization",
        ("hessian", "round-to-nearest", "awq"),
    ),
    Term(
        "Granularity",
        "How many weights share one scale: all of a tensor, those of one output channel, or a group of neighbours. "
        "Finer means smaller rounding errors and more scales to store.",
        "02_quantization",
        ("per-tensor", "per-channel", "per-group"),
    ),
    Term(
        "Hessian",
        "The matrix of second derivatives of an error. For the output of a linear layer it is, up to a factor, the "
        "inputs' X X^T, so it can be computed from examples alone. GPTQ uses it to spread rounding errors; damping "
        "adds a little to its diagonal so that it can be inverted.",
        "02_quantization",
        ("gptq",),
    ),
    Term(
        "Int8",
        "A whole number of 8 bits: -128 to 127. It takes a quarter of the bytes of a float32. Adding past the ends "
        "wraps around in most libraries, without a warning.",
        "02_quantization",
        ("accumulator", "saturation", "dtype"),
    ),
    Term(
        "Integer-only network",
        "A network whose layers pass integers to each other: int8 inputs and weights, int32 sums, rescaled by "
        "fixed-point multipliers. Floats appear only where the input is quantized and the output dequantized (Jacob "
        "et al., 2018).",
        "02_quantization",
        ("fake-quantization", "fixed-point-multiplier", "requantization"),
    ),
    Term(
        "Kernel",
        "The innermost function that does the work of an operation, such as a product of matrices, written for one "
        "kind of processor. Not the kernel of a convolution, which is its filter, nor that of a notebook.",
        "05_cpu_kernels",
        (
            "simd",
            "tiling",
        ),
    ),
    Term(
        "KL divergence",
        "A measure of how far one distribution is from another, 0 when they are equal. As an observer it chooses the "
        "range whose quantized histogram is nearest to the original one.",
        "02_quantization",
        ("observer",),
    ),
    Term(
        "Latency",
        "The time that one call takes, in seconds, from its start to its answer. It is given with the batch size, "
        "the number of threads and the machine, since it depends on all three, and as percentiles of many calls, "
        "since no two calls take the same time.",
        "00_start_here",
        ("percentile", "warm-up", "throughput"),
    ),
    Term(
        "Linear layer",
        "A layer that computes y = W x + b: each output is a weighted sum of all inputs. It uses each weight once "
        "per example, so reading the weights may take longer than multiplying by them.",
        "00_start_here",
        ("convolution", "mac"),
    ),
    Term(
        "Logits",
        "The numbers a classifier puts out before softmax, one for each class, of any size and sign. The largest one "
        "names the predicted class.",
        "00_start_here",
        ("softmax", "accuracy"),
    ),
    Term(
        "MAC",
        "Multiply-accumulate: one product added to a sum, a x b + c. Counting MACs says how much arithmetic a model "
        "asks for, not how long it takes. One MAC is two floating-point operations.",
        "00_start_here",
        ("latency", "convolution", "linear-layer"),
    ),
    Term(
        "Median",
        "The value in the middle after sorting, also called p50. A few very slow calls move the mean a lot and the "
        "median hardly.",
        "00_start_here",
        ("percentile", "latency"),
    ),
    Term(
        "Momentum",
        "An optimizer's step made of the present gradient and a fading sum of earlier ones, so that it keeps going "
        "where the gradients agree and turns less where they quarrel.",
        "02_quantization",
        ("adam",),
    ),
    Term(
        "MSE",
        "Mean squared error: the average of (estimate - truth)^2. As an observer it chooses the range for which "
        "quantizing and dequantizing changes the values least in this sense.",
        "02_quantization",
        ("observer", "clipping"),
    ),
    Term(
        "N:M sparsity",
        "Of each M neighbouring weights only N are kept, in 2:4 sparsity two of four (Mishra et al., 2021). The place "
        "of a kept weight then needs 2 bits only, and some GPUs skip the zeros in hardware.",
        "05_cpu_kernels",
        (
            "sparsity",
            "compressed-sparse-rows",
        ),
    ),
    Term(
        "Nibble",
        "Half a byte: 4 bits, 16 values. As a signed number in two's complement it goes from -8 to 7, and reading one "
        "back must bring its sign along.",
        "05_cpu_kernels",
        (
            "code",
            "packing",
        ),
    ),
    Term(
        "Normal approximation",
        "Here: the interval p +- z sqrt(p (1 - p) / n) for a rate p. It is easy to remember and wrong where it "
        "matters: with no or only hits its width is 0, and near the ends it leaves [0, 1].",
        "00_start_here",
        ("wilson-interval",),
    ),
    Term(
        "Observer",
        "A rule that looks at values and chooses the range to quantize: the smallest and largest value, percentiles "
        "that ignore outliers, or the range with the smallest error.",
        "02_quantization",
        ("calibration-set", "clipping", "outlier"),
    ),
    Term(
        "ONNX",
        "Open Neural Network Exchange: a file format that describes a network as a graph of standard operations. "
        "onnxruntime and other programs run such files; here a second program checks our integer network.",
        "02_quantization",
        ("integer-only-network",),
    ),
    Term(
        "Outer product",
        "Column times row: from a of length m and b of length n the m x n table of all products a[i] b[j].",
        "02_quantization",
        ("cholesky-factor", "gptq"),
    ),
    Term(
        "Outlier",
        "A value far from all others. One outlier can stretch the range so far that all other values share a few codes.",
        "02_quantization",
        ("observer", "clipping", "smoothquant"),
    ),
)
