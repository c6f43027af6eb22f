"""The other words of the course, P to Z, sorted."""

from posttrain_lab.glossary.term import Term

P_TO_Z = (
    Term(
        "Packing",
        "Storing weights in the order in which a kernel will read them, or several codes in one byte. It is done "
        "once, when the model is loaded, and changes no value.",
        "05_cpu_kernels",
        (
            "kernel",
            "nibble",
            "tiling",
        ),
    ),
    Term(
        "Parameter",
        "A number of the model that training may change: a weight or a bias.",
        "00_start_here",
        ("weight", "buffer", "bytes-of-a-model"),
    ),
    Term(
        "Passport",
        "The course's record of one model, measured on one machine: accuracy with its interval, worst class, bytes, "
        "MACs, ECE, and latency at two batch sizes with threads, device and versions. Two passports can be compared; "
        "that is how a unit says what it won and lost.",
        "00_start_here",
        ("accuracy", "latency", "bytes-of-a-model", "mac", "ece"),
    ),
    Term(
        "Per-channel",
        "Each output channel of a weight has a scale of its own. A channel of small weights then keeps fine steps "
        "although another channel is large. The extra scales cost a few bytes.",
        "02_quantization",
        ("per-tensor", "per-group", "scale"),
    ),
    Term(
        "Per-group",
        "Each group of neighbouring weights within a channel, for example 32 of them, has a scale of its own. It is "
        "usual at 4 bits and below; the scales then are a visible part of the bytes.",
        "02_quantization",
        ("per-channel", "scale"),
    ),
    Term(
        "Per-tensor",
        "One scale for the whole tensor: the simplest choice, and the one that suffers most from differences between channels.",
        "02_quantization",
        ("per-channel", "scale"),
    ),
    Term(
        "Percentile",
        "The p-th percentile is the value below which p percent of the sorted values lie. The course reports latency "
        "as p20, p50 and p80: what a fast, a middling and a slow call takes. As an observer, percentiles cut off the "
        "tails of a distribution.",
        "00_start_here",
        ("median", "latency", "observer"),
    ),
    Term(
        "Post-training quantization (PTQ)",
        "Quantizing a finished model without training it further; at most a few examples are used to choose ranges or roundings.",
        "02_quantization",
        ("quantization", "quantization-aware-training", "calibration-set"),
    ),
    Term(
        "QAT",
        "Short for [quantization-aware training](#quantization-aware-training).",
        "02_quantization",
        ("quantization-aware-training",),
    ),
    Term(
        "Quantization-aware training",
        "Training with fake quantization switched on, so that the weights learn to live with the rounding. It helps "
        "most at few bits, and it costs training time and training data.",
        "02_quantization",
        ("fake-quantization", "straight-through-estimator", "fine-tuning"),
    ),
    Term(
        "Reliability diagram",
        "A figure of hit rate against confidence, bin by bin. A calibrated model lies on the diagonal.",
        "04_calibration",
        ("expected-calibration-error", "calibration"),
    ),
    Term(
        "Requantization",
        "Turning the int32 sums of an integer layer into int8 codes for the next layer: multiply by a factor, round, "
        "add the zero point, clamp. In an integer-only network the factor is a fixed-point multiplier.",
        "02_quantization",
        ("fixed-point-multiplier", "accumulator", "integer-only-network"),
    ),
    Term(
        "Roofline",
        "A figure of speed over arithmetic intensity (Williams et al., 2009). Below the ridge the limit is bandwidth, "
        "a slope; above it the peak of the processor, a flat roof.",
        "05_cpu_kernels",
        (
            "arithmetic-intensity",
            "bandwidth",
        ),
    ),
    Term(
        "Round to nearest",
        "Each number goes to the nearest code, independent of the others. Ties need a rule; torch.round sends them "
        "to the even neighbour. It is the best rounding of each weight alone, but not of a whole layer.",
        "02_quantization",
        ("rounding-error", "gptq"),
    ),
    Term(
        "Rounding error",
        "The distance between a number and what its code stands for. Inside the range it is at most half a scale.",
        "02_quantization",
        ("round-to-nearest", "clipping", "scale"),
    ),
    Term(
        "Saturation",
        "A value beyond the largest code becomes the largest code, instead of wrapping around to the other end. "
        "Quantization clamps so that it saturates.",
        "02_quantization",
        ("clipping", "int8"),
    ),
    Term(
        "Scale",
        "The real size of one step between neighbouring codes. A small scale is precise and covers a small range; "
        "with b bits a range of width w has a scale of w / (2^b - 1).",
        "02_quantization",
        ("zero-point", "code", "rounding-error"),
    ),
    Term(
        "SIMD",
        "Single instruction, multiple data: one instruction of the processor works on all numbers of a wide register, "
        "for example 16 sums of 32 bits. A program that multiplies one pair at a time leaves most of the processor "
        "idle.",
        "05_cpu_kernels",
        (
            "vnni",
            "kernel",
        ),
    ),
    Term(
        "SmoothQuant",
        "Dividing activations by a factor per channel and multiplying the weights by it (Xiao et al., 2023). The "
        "product stays the same, while outliers move from the activations, which are hard to quantize, into the "
        "weights, which are easier.",
        "02_quantization",
        ("outlier", "awq"),
    ),
    Term(
        "Softmax",
        "The function that turns logits into positive numbers that add up to 1: exp(logit) divided by the sum of all "
        "exp(logits). It keeps their order, so it changes no prediction.",
        "00_start_here",
        ("logits", "confidence"),
    ),
    Term(
        "Sparsity",
        "The fraction of weights that are exactly zero. It becomes speed or a smaller file only with a format and a "
        "kernel that skip the zeros.",
        "01_pruning",
        ("pruning",),
    ),
    Term(
        "Static quantization",
        "The ranges of the activations are chosen once, on a calibration set, and then fixed. Running is cheaper "
        "than with dynamic quantization; inputs outside the observed range are clipped.",
        "02_quantization",
        ("dynamic-quantization", "calibration-set", "observer"),
    ),
    Term(
        "Straight-through estimator (STE)",
        "A gradient for rounding, whose true gradient is zero almost everywhere: pass the gradient on as if rounding "
        "were not there, and stop it where the value was clipped (Bengio et al., 2013).",
        "02_quantization",
        ("quantization-aware-training", "fake-quantization"),
    ),
    Term(
        "Symmetric quantization",
        "Quantization with zero point 0, so that the range is [-w, w]. It is usual for weights: the correction for "
        "the zero point falls away.",
        "02_quantization",
        ("affine-quantization", "zero-point"),
    ),
    Term(
        "Test set",
        "Examples used once, at the end, to report. Whoever chooses between versions on them reports a number that is too good.",
        "00_start_here",
        ("validation-set", "calibration-set", "accuracy"),
    ),
    Term(
        "Thread",
        "One of several strands of a program that may run at the same time on different cores. The course measures "
        "on one thread unless it says otherwise, so that numbers can be compared.",
        "00_start_here",
        ("latency",),
    ),
    Term(
        "Throughput",
        "Examples per second. A large batch often raises throughput while each single call takes longer.",
        "00_start_here",
        ("latency", "batch"),
    ),
    Term(
        "Tiling",
        "Cutting a product of matrices into blocks whose numbers stay near, in a cache or in registers, while they "
        "are used many times (Goto and van de Geijn, 2008).",
        "05_cpu_kernels",
        (
            "packing",
            "arithmetic-intensity",
            "kernel",
        ),
    ),
    Term(
        "Validation set",
        "Examples used to choose between versions of a model: they are not trained on, and not used for the final report.",
        "00_start_here",
        ("test-set", "calibration-set"),
    ),
    Term(
        "VNNI",
        "Vector Neural Network Instructions: x86 instructions that multiply groups of 8-bit integers and add the "
        "products to 32-bit sums in one step. Processors without them need several steps for the same work.",
        "02_quantization",
        ("int8", "accumulator"),
    ),
    Term(
        "Warm-up",
        "Calls made before the clock counts. The first call may compile code, allocate memory or fill caches, and so "
        "says little about the calls after it.",
        "00_start_here",
        ("latency", "median"),
    ),
    Term(
        "Weight",
        "A stored number that a layer multiplies its input by. Weights are known before the model runs, so they can "
        "be quantized ahead of time.",
        "00_start_here",
        ("parameter", "activation"),
    ),
    Term(
        "Weight-only quantization",
        "Only the weights are stored as codes; they are turned back into floats for the arithmetic. It saves memory, "
        "and time where reading weights is what takes the time.",
        "02_quantization",
        ("gptq", "awq", "per-group"),
    ),
    Term(
        "Wilson interval",
        "The true rates that fit k hits in n trials: those that a test at the chosen level would not reject (Wilson, "
        "1927). It stays inside [0, 1] and keeps a width at 0 and at n hits.",
        "00_start_here",
        ("accuracy", "normal-approximation"),
    ),
    Term(
        "Worst-class accuracy",
        "The accuracy on the examples of the class that does worst. A change that hardly moves the overall accuracy "
        "can ruin one class.",
        "00_start_here",
        ("accuracy",),
    ),
    Term(
        "Zero point",
        "The code that stands for the real number 0. It is an integer, so that 0 is represented exactly: zero "
        "padding and the zeros of a ReLU then carry no error.",
        "02_quantization",
        ("scale", "affine-quantization", "symmetric-quantization"),
    ),
)
