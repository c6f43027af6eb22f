"""The other words of the course, A to F, sorted."""

from posttrain_lab.glossary.term import Term

A_TO_F = (
    Term(
        "Accumulator",
        "The variable in which a sum of products grows. Products of two int8 codes need up to 15 bits and a sign, "
        "and a sum of many needs more, so an integer network accumulates in int32. An int8 accumulator would wrap "
        "around after very few products.",
        "02_quantization",
        ("int8", "mac", "requantization"),
    ),
    Term(
        "Activation",
        "A number that a layer computes from its input, as opposed to a weight, which is stored. Weights are known "
        "when a model is quantized; the range of activations has to be observed on examples.",
        "02_quantization",
        ("observer", "weight", "static-quantization"),
    ),
    Term(
        "Affine quantization",
        "Quantization in which the codes may be shifted: real value = scale x (code - zero point). The shift lets a "
        "one-sided range, such as the output of a ReLU, use all codes. With zero point 0 it is called symmetric.",
        "02_quantization",
        ("scale", "zero-point", "symmetric-quantization"),
    ),
    Term(
        "Arithmetic intensity",
        "How many operations a task does for each byte that it moves between memory and processor. A product of large "
        "matrices has a high one, a product with a single row a low one: about two operations for each int8 weight.",
        "05_cpu_kernels",
        (
            "roofline",
            "mac",
            "bytes-of-a-model",
        ),
    ),
    Term(
        "AWQ",
        "Activation-aware weight quantization (Lin et al., 2024). Input channels with large activations get their "
        "weights scaled up before rounding, and the activations scaled down by the same factor, so that the weights "
        "that matter most lose least.",
        "02_quantization",
        ("gptq", "smoothquant", "weight-only-quantization"),
    ),
    Term(
        "Bandwidth",
        "How many bytes a second travel between memory and processor. A layer that sees one example at a time reads "
        "each weight for one multiplication only, so bandwidth is its limit.",
        "05_cpu_kernels",
        (
            "arithmetic-intensity",
            "roofline",
        ),
    ),
    Term(
        "Batch",
        "The examples that a model works on in one call. A larger batch takes longer per call but usually less time "
        "per example, since the weights are read once for all of them.",
        "00_start_here",
        ("latency", "throughput"),
    ),
    Term(
        "Batch norm folding",
        "Batch normalization in eval mode multiplies each channel by a constant and adds another, so both can be "
        "moved into the weights and the bias of the convolution before it. The output stays the same up to rounding, "
        "and one layer is gone.",
        "02_quantization",
        ("integer-only-network",),
    ),
    Term(
        "Buffer",
        "A tensor that belongs to a model but is not trained, such as the running mean of a batch norm or the codes "
        "of a quantized layer. It is stored with the model, so it counts as bytes.",
        "00_start_here",
        ("parameter", "bytes-of-a-model"),
    ),
    Term(
        "Bytes of a model",
        "What its parameters and buffers take: the count of numbers times the width of each one's dtype. A tensor "
        "that two layers share counts once. The memory that a run needs is more, since activations come on top.",
        "00_start_here",
        ("parameter", "buffer", "dtype"),
    ),
    Term(
        "Calibration set",
        "Examples kept apart to fit a few numbers of a finished model: ranges of activations, or a temperature. They "
        "must not come from the test set, and best not from the training set, on which the model is too sure.",
        "02_quantization",
        ("calibration", "observer", "validation-set", "test-set"),
    ),
    Term(
        "Cholesky factor",
        "A symmetric positive matrix A can be written as U^T U with an upper triangular U, as a positive number has a "
        "root. GPTQ reads off U how an error in one column can be made up for by the columns behind it.",
        "02_quantization",
        ("gptq", "hessian", "outer-product"),
    ),
    Term(
        "Clipping",
        "Replacing values outside a range by its nearest end. A narrower range makes the steps finer but clips more "
        "values; an observer looks for the best balance.",
        "02_quantization",
        ("observer", "rounding-error", "saturation"),
    ),
    Term(
        "Code",
        "The small integer that stands for a real number after quantization. With 8 bits the codes of this course "
        "run from -128 to 127.",
        "02_quantization",
        ("quantization", "scale", "zero-point"),
    ),
    Term(
        "Compressed sparse rows (CSR)",
        "A form for matrices with many zeros: the values that are not zero row by row, the column of each, and for "
        "each row where its values begin. A kept float32 weight takes 8 bytes.",
        "05_cpu_kernels",
        (
            "sparsity",
            "n-m-sparsity",
        ),
    ),
    Term(
        "Confidence",
        "The probability that a model gives to the class it predicts: the largest number after softmax. Whether it "
        "deserves the name of a probability is what calibration asks.",
        "04_calibration",
        ("softmax", "calibration", "expected-calibration-error"),
    ),
    Term(
        "Convolution",
        "A layer that moves a small window of weights over an image and computes the same weighted sum at each "
        "place. It has few weights and uses each of them many times, so it may hold few of the bytes and most of the "
        "time.",
        "00_start_here",
        ("linear-layer", "mac"),
    ),
    Term(
        "Dequantization",
        "Turning codes back into real numbers: scale x (code - zero point). What rounding and clipping took away "
        "does not come back.",
        "02_quantization",
        ("quantization", "rounding-error"),
    ),
    Term(
        "Dtype",
        "The kind of number a tensor holds and its width: float32 takes 4 bytes, float16 takes 2, int8 takes 1, int64 takes 8.",
        "00_start_here",
        ("bytes-of-a-model", "int8"),
    ),
    Term(
        "Dynamic quantization",
        "The range of the activations is taken anew from each input while the model runs. It needs no calibration "
        "set; it costs a pass over the activations at each call.",
        "02_quantization",
        ("static-quantization", "observer"),
    ),
    Term(
        "ECE",
        "Short for [expected calibration error](#expected-calibration-error). A passport gives it with 15 bins of equal width.",
        "00_start_here",
        ("expected-calibration-error",),
    ),
    Term(
        "Expected calibration error",
        "Predictions are sorted into bins by confidence; in each bin the hit rate is compared with the mean "
        "confidence, and the distances are averaged, weighted by how many predictions lie in the bin. 0 is perfect. "
        "The value depends on the bins, so they are always stated.",
        "04_calibration",
        ("calibration", "confidence", "reliability-diagram"),
    ),
    Term(
        "Fake quantization",
        "Quantizing and dequantizing at once, so that a float network computes with rounded values. It shows what "
        "rounding does to accuracy. It saves neither memory nor time, since every number is still a float.",
        "02_quantization",
        ("quantization-aware-training", "integer-only-network"),
    ),
    Term(
        "Fixed-point multiplier",
        "A real factor written as an integer and a shift: m x 2^-shift. Multiplying by it needs only an integer "
        "product and a rounding shift, which is how an integer network rescales its sums.",
        "02_quantization",
        ("requantization", "integer-only-network"),
    ),
)
