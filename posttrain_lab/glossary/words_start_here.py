"""The words of unit 00, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

START_HERE_WORDS = of_unit(
    "00_start_here",
    Term(
        "Batch",
        "The examples that a model processes in one call. A larger batch takes longer per call but usually less time per "
        "example, since the weights are read once for all of them.",
        ("latency", "throughput"),
    ),
    Term(
        "Buffer",
        "A tensor that belongs to a model but is not trained, such as the running mean of a batch norm or the codes of a "
        "quantized layer. It is stored with the model, so it counts as bytes.",
        ("parameter", "bytes-of-a-model"),
    ),
    Term(
        "Bytes of a model",
        "The bytes of its parameters and buffers: for each tensor the number of elements times the width of its dtype. A "
        "tensor that two layers share counts once. The memory that a run needs is more, since activations need memory too.",
        ("parameter", "buffer", "dtype"),
    ),
    Term(
        "Convolution",
        "A layer that moves a small window of weights over an image and computes the same weighted sum at each position. It "
        "has few weights and uses each of them many times, so it may take few of the bytes and most of the time.",
        ("linear-layer", "mac"),
    ),
    Term(
        "Dtype",
        "The type of a tensor's elements, which determines their width: float32 takes 4 bytes, float16 takes 2, int8 takes 1,"
        " int64 takes 8.",
        ("bytes-of-a-model", "int8"),
    ),
    Term(
        "ECE",
        "Short for [expected calibration error](#expected-calibration-error). A passport gives it with 15 bins of equal width.",
        ("expected-calibration-error",),
    ),
    Term(
        "Latency",
        "The time that one call takes, in seconds, from its start to its answer. It is given with the batch size, the number "
        "of threads and the machine, since it depends on all three, and as percentiles of many calls, since no two calls take"
        " the same time.",
        ("percentile", "warm-up", "throughput"),
    ),
    Term(
        "Linear layer",
        "A layer that computes y = W x + b: each output is a weighted sum of all inputs. It uses each weight once per "
        "example, so reading the weights may take longer than multiplying by them.",
        ("convolution", "mac"),
    ),
    Term(
        "Logits",
        "The outputs of a classifier before softmax, one for each class, of any size and sign. The class with the largest one"
        " is the predicted class.",
        ("softmax", "accuracy"),
    ),
    Term(
        "MAC",
        "Multiply-accumulate: one product added to a sum, a x b + c. The number of MACs says how much arithmetic a model "
        "needs, not how long it takes. One MAC is two floating-point operations.",
        ("latency", "convolution", "linear-layer"),
    ),
    Term(
        "Median",
        "The value in the middle after sorting, also called p50. A few very slow calls change the mean a lot and the median "
        "hardly.",
        ("percentile", "latency"),
    ),
    Term(
        "Normal approximation",
        "Here: the interval p +- z sqrt(p (1 - p) / n) for a rate p. It is easy to remember and often wrong: with no hits or "
        "only hits its width is 0, and near 0 and 1 it goes beyond [0, 1].",
        ("wilson-interval",),
    ),
    Term(
        "Parameter",
        "A number of the model that training can change: a weight or a bias.",
        ("weight", "buffer", "bytes-of-a-model"),
    ),
    Term(
        "Passport",
        "The course's record of one model, measured on one machine: accuracy with its interval, worst class, bytes, MACs, "
        "ECE, and latency at two batch sizes with threads, device and versions. Two passports can be compared; in this way a "
        "unit reports what was gained and lost.",
        ("accuracy", "latency", "bytes-of-a-model", "mac", "ece"),
    ),
    Term(
        "Percentile",
        "The p-th percentile is the value below which p percent of the sorted values lie. The course reports latency as p20, "
        "p50 and p80: the time of a fast, a typical and a slow call. As an observer, percentiles clip the tails of a "
        "distribution.",
        ("median", "latency", "observer"),
    ),
    Term(
        "Softmax",
        "The function that turns logits into positive numbers that sum to 1: exp(logit) divided by the sum of all "
        "exp(logits). It keeps their order, so it changes no prediction.",
        ("logits", "confidence"),
    ),
    Term(
        "Test set",
        "Examples used once, at the end, to report. If they are used to choose between versions, the reported number is too "
        "good.",
        ("validation-set", "calibration-set", "accuracy"),
    ),
    Term(
        "Thread",
        "One of several sequences of instructions of a program that may run at the same time on different cores. The course "
        "measures on one thread unless it says otherwise, so that numbers can be compared.",
        ("latency",),
    ),
    Term(
        "Throughput",
        "Examples per second. A large batch often raises throughput while each single call takes longer.",
        ("latency", "batch"),
    ),
    Term(
        "Validation set",
        "Examples used to choose between versions of a model: they are not trained on, and not used for the final report.",
        ("test-set", "calibration-set"),
    ),
    Term(
        "Warm-up",
        "Calls made before the measurement. The first call may compile code, allocate memory or fill caches, so its time says"
        " little about later calls.",
        ("latency", "median"),
    ),
    Term(
        "Weight",
        "A stored number that a layer multiplies its input by. Weights are known before the model runs, so they can be "
        "quantized in advance.",
        ("parameter", "activation"),
    ),
    Term(
        "Wilson interval",
        "The true rates that agree with k hits in n trials: those that a test at the chosen level would not reject (Wilson, "
        "1927). It stays inside [0, 1] and has a width at 0 and at n hits.",
        ("accuracy", "normal-approximation"),
    ),
    Term(
        "Worst-class accuracy",
        "The accuracy of the class with the lowest accuracy. A change that hardly lowers the overall accuracy can lower that "
        "of one class a lot.",
        ("accuracy",),
    ),
)
