"""The words of unit 02, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

QUANTIZATION_WORDS = of_unit(
    "02_quantization",
    Term(
        "Accumulator",
        "The variable to which products are added one after another. Products of two int8 codes need up to 15 bits and a "
        "sign, and a sum of many needs more, so an integer network accumulates in int32. An int8 accumulator would wrap "
        "around after very few products.",
        ("int8", "mac", "requantization"),
    ),
    Term(
        "Activation",
        "A number that a layer computes from its input, as opposed to a weight, which is stored. Weights are known when a "
        "model is quantized; the range of activations has to be observed on examples.",
        ("observer", "weight", "static-quantization"),
    ),
    Term(
        "Affine quantization",
        "Quantization in which the codes may be shifted: real value = scale x (code - zero point). The shift lets a one-sided"
        " range, such as the output of a ReLU, use all codes. With zero point 0 it is called symmetric.",
        ("scale", "zero-point", "symmetric-quantization"),
    ),
    Term(
        "AWQ",
        "Activation-aware weight quantization (Lin et al., 2024). Input channels with large activations get their weights "
        "scaled up before rounding, and the activations scaled down by the same factor, so that the weights that matter most "
        "lose least.",
        ("gptq", "smoothquant", "weight-only-quantization"),
    ),
    Term(
        "Batch norm folding",
        "Batch normalization in eval mode multiplies each channel by a constant and adds another, so both can be moved into "
        "the weights and the bias of the convolution before it. The output stays the same up to rounding, and there is one "
        "layer less.",
        ("integer-only-network",),
    ),
    Term(
        "Calibration set",
        "Examples reserved to fit a few numbers of a trained model: ranges of activations, or a temperature. They must not "
        "come from the test set, and should not come from the training set, on which the model is overconfident.",
        ("calibration", "observer", "validation-set", "test-set"),
    ),
    Term(
        "Cholesky factor",
        "A symmetric positive matrix A can be written as U^T U with an upper triangular U, similar to the square root of a "
        "positive number. GPTQ uses U to compute how later columns can compensate an error in one column.",
        ("gptq", "hessian", "outer-product"),
    ),
    Term(
        "Clipping",
        "Replacing values outside a range by the nearest end of the range. A narrower range makes the steps finer but clips "
        "more values; an observer looks for the smallest total error.",
        ("observer", "rounding-error", "saturation"),
    ),
    Term(
        "Code",
        "The small integer that stands for a real number after quantization. With 8 bits the codes of this course run from "
        "-128 to 127.",
        ("quantization", "scale", "zero-point"),
    ),
    Term(
        "Dequantization",
        "Turning codes back into real numbers: scale x (code - zero point). The errors of rounding and clipping remain.",
        ("quantization", "rounding-error"),
    ),
    Term(
        "Dynamic quantization",
        "The range of the activations is computed from each input while the model runs. It needs no calibration set, but it "
        "needs a pass over the activations at each call.",
        ("static-quantization", "observer"),
    ),
    Term(
        "Fake quantization",
        "Quantizing and dequantizing at once, so that a float network computes with rounded values. It shows how rounding "
        "changes the accuracy. It saves neither memory nor time, since every number is still a float.",
        ("quantization-aware-training", "integer-only-network"),
    ),
    Term(
        "Fixed-point multiplier",
        "A real factor written as an integer and a shift: m x 2^-shift. Multiplying by it needs only an integer product and a"
        " rounding shift, which is how an integer network rescales its sums.",
        ("requantization", "integer-only-network"),
    ),
    Term(
        "GPTQ",
        "A way to round the weights of a layer one column after another, where the later columns compensate the error of the "
        "earlier ones (Frantar et al., 2022). It uses the layer's inputs, so it lowers the error of the output, not that of "
        "the weights.",
        ("hessian", "round-to-nearest", "awq"),
    ),
    Term(
        "Granularity",
        "The number of weights that share one scale: all of a tensor, those of one output channel, or a group of neighbours. "
        "Finer means smaller rounding errors and more scales to store.",
        ("per-tensor", "per-channel", "per-group"),
    ),
    Term(
        "Hessian",
        "The matrix of second derivatives of an error. For the output of a linear layer it is, up to a factor, the inputs' X "
        "X^T, so it can be computed from examples alone. GPTQ uses it to distribute rounding errors over other weights; "
        "damping adds a little to its diagonal so that it can be inverted.",
        ("gptq",),
    ),
    Term(
        "Int8",
        "A whole number of 8 bits: -128 to 127. It takes a quarter of the bytes of a float32. A sum outside this range wraps "
        "around in most libraries, without a warning.",
        ("accumulator", "saturation", "dtype"),
    ),
    Term(
        "Integer-only network",
        "A network whose layers pass integers to each other: int8 inputs and weights, int32 sums, rescaled by fixed-point "
        "multipliers. Floats appear only where the input is quantized and the output dequantized (Jacob et al., 2018).",
        ("fake-quantization", "fixed-point-multiplier", "requantization"),
    ),
    Term(
        "KL divergence",
        "A measure of how different one distribution is from another, 0 when they are equal. As an observer it chooses the "
        "range whose quantized histogram is nearest to the original one.",
        ("observer",),
    ),
    Term(
        "Momentum",
        "A running sum of the current and earlier gradients, in which older ones count less; the optimizer follows it instead"
        " of the gradient. Steps become larger where gradients agree in direction, and smaller where they do not.",
        ("adam",),
    ),
    Term(
        "MSE",
        "Mean squared error: the average of (estimate - truth)^2. As an observer it chooses the range for which quantizing "
        "and dequantizing changes the values least in this sense.",
        ("observer", "clipping"),
    ),
    Term(
        "Observer",
        "A rule that chooses the range to quantize from examples of the values: the smallest and largest value, percentiles "
        "that ignore outliers, or the range with the smallest error.",
        ("calibration-set", "clipping", "outlier"),
    ),
    Term(
        "ONNX",
        "Open Neural Network Exchange: a file format that describes a network as a graph of standard operations. onnxruntime "
        "and other programs run such files; here it is used to check our integer network with a second program.",
        ("integer-only-network",),
    ),
    Term(
        "Outer product",
        "Column times row: from a of length m and b of length n the m x n table of all products a[i] b[j].",
        ("cholesky-factor", "gptq"),
    ),
    Term(
        "Outlier",
        "A value far from all others. One outlier can make the range so wide that all other values share a few codes.",
        ("observer", "clipping", "smoothquant"),
    ),
    Term(
        "Per-channel",
        "Each output channel of a weight has a scale of its own. A channel of small weights then has fine steps although "
        "another channel has large weights. The extra scales take a few bytes.",
        ("per-tensor", "per-group", "scale"),
    ),
    Term(
        "Per-group",
        "Each group of neighbouring weights within a channel, for example 32 of them, has a scale of its own. It is usual at "
        "4 bits and below; the scales then take a noticeable part of the bytes.",
        ("per-channel", "scale"),
    ),
    Term(
        "Per-tensor",
        "One scale for the whole tensor: the simplest choice, and the one with the largest errors when channels differ.",
        ("per-channel", "scale"),
    ),
    Term(
        "Post-training quantization (PTQ)",
        "Quantizing a trained model without further training; at most a few examples are used to choose ranges or roundings.",
        ("quantization", "quantization-aware-training", "calibration-set"),
    ),
    Term(
        "QAT",
        "Short for [quantization-aware training](#quantization-aware-training).",
        ("quantization-aware-training",),
    ),
    Term(
        "Quantization-aware training",
        "Training with fake quantization switched on, so that the weights adapt to the rounding. It helps most at few bits, "
        "and it needs training time and training data.",
        ("fake-quantization", "straight-through-estimator", "fine-tuning"),
    ),
    Term(
        "Requantization",
        "Turning the int32 sums of an integer layer into int8 codes for the next layer: multiply by a factor, round, add the "
        "zero point, clamp. In an integer-only network the factor is a fixed-point multiplier.",
        ("fixed-point-multiplier", "accumulator", "integer-only-network"),
    ),
    Term(
        "Round to nearest",
        "Each number is rounded to the nearest code, independently of the others. Ties need a rule; torch.round rounds them "
        "to the even neighbour. This is the best rounding of each weight alone, but not of a whole layer.",
        ("rounding-error", "gptq"),
    ),
    Term(
        "Rounding error",
        "The difference between a number and the real number that its code stands for. Inside the range it is at most half a "
        "scale.",
        ("round-to-nearest", "clipping", "scale"),
    ),
    Term(
        "Saturation",
        "A value beyond the largest code becomes the largest code, instead of wrapping around to the other end. Quantization "
        "saturates because it clamps.",
        ("clipping", "int8"),
    ),
    Term(
        "Scale",
        "The real size of one step between neighbouring codes. A small scale is precise and covers a small range; with b bits"
        " a range of width w has a scale of w / (2^b - 1).",
        ("zero-point", "code", "rounding-error"),
    ),
    Term(
        "SmoothQuant",
        "Dividing activations by a factor per channel and multiplying the weights by it (Xiao et al., 2023). The product "
        "stays the same, while outliers move from the activations, which are hard to quantize, into the weights, which are "
        "easier.",
        ("outlier", "awq"),
    ),
    Term(
        "Static quantization",
        "The ranges of the activations are chosen once, on a calibration set, and then fixed. A call takes less time than "
        "with dynamic quantization; inputs outside the observed range are clipped.",
        ("dynamic-quantization", "calibration-set", "observer"),
    ),
    Term(
        "Straight-through estimator (STE)",
        "A gradient for rounding, whose true gradient is zero almost everywhere: use the gradient as if there were no "
        "rounding, and 0 where the value was clipped (Bengio et al., 2013).",
        ("quantization-aware-training", "fake-quantization"),
    ),
    Term(
        "Symmetric quantization",
        "Quantization with zero point 0, so that the range is [-w, w]. It is usual for weights: no correction for the zero "
        "point is needed.",
        ("affine-quantization", "zero-point"),
    ),
    Term(
        "VNNI",
        "Vector Neural Network Instructions: x86 instructions that multiply groups of 8-bit integers and add the products to "
        "32-bit sums in one step. Processors without them need several instructions for the same result.",
        ("int8", "accumulator"),
    ),
    Term(
        "Weight-only quantization",
        "Only the weights are stored as codes; they are turned back into floats for the arithmetic. It saves memory, and also"
        " time where reading the weights takes most of the time.",
        ("gptq", "awq", "per-group"),
    ),
    Term(
        "Zero point",
        "The code that stands for the real number 0. It is an integer, so that 0 is represented exactly: zero padding and the"
        " zeros of a ReLU then have no error.",
        ("scale", "affine-quantization", "symmetric-quantization"),
    ),
)
