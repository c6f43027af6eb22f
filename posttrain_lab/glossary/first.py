"""The words that the course is about, in the order in which a newcomer needs them."""

from posttrain_lab.glossary.term import Term

FIRST = (
    Term(
        "Post-training",
        "Everything that is done to a model after its first training: making it smaller, making it faster, adapting it to a "
        "new task, or calibrating its confidences. The given model is already trained, and the new one must be compared with "
        "it. This is the subject of the whole course.",
        ("pruning", "quantization", "fine-tuning", "calibration"),
        "00_start_here",
    ),
    Term(
        "Pruning",
        "Setting weights to zero, or removing whole channels, because the model is nearly as accurate without them. Zeros "
        "alone save nothing: the file becomes smaller, and the model faster, only if the zeros are not stored and not "
        "multiplied.",
        ("sparsity", "fine-tuning"),
        "01_pruning",
    ),
    Term(
        "Quantization",
        "Storing numbers as integers of few bits together with a scale, the real size of one step. A weight of 32 bits "
        "becomes a code of 8 or 4 bits, so the model takes less memory, and integer arithmetic can be faster. The cost is a "
        "rounding error in each number.",
        ("scale", "zero-point", "fake-quantization", "integer-only-network"),
        "02_quantization",
    ),
    Term(
        "Fine-tuning",
        "Training a trained model further, on other data or for another task, usually with a small learning rate. It starts "
        "from weights that are already useful, so it may need far fewer labels than training from random weights. The old "
        "task can be forgotten.",
        ("quantization-aware-training", "adam", "pruning"),
        "03_fine_tuning",
    ),
    Term(
        "Calibration",
        "A model is calibrated when its confidences equal its hit rates: of all predictions made with confidence 0.8, eight "
        "in ten are right. To calibrate a model is to correct its confidences on held-out examples until this is nearly true."
        " In quantization the same word means something else: choosing the ranges of activations on a few examples.",
        ("confidence", "expected-calibration-error", "calibration-set"),
        "04_calibration",
    ),
    Term(
        "Accuracy",
        "The fraction of examples whose predicted class is the right one, between 0 and 1. It is measured on a sample, so it "
        "comes with an interval. It does not show which classes are often wrong, nor how confident the model was.",
        ("wilson-interval", "worst-class-accuracy", "test-set"),
        "00_start_here",
    ),
    Term(
        "Active learning",
        "Choosing which examples a person should label next, usually those about which the model is most uncertain. The aim "
        "is the same accuracy from fewer labels. It is not always better than a random choice, so it must be compared with "
        "one.",
        ("fine-tuning", "confidence"),
        "03_fine_tuning",
    ),
    Term(
        "Adam",
        "An optimizer that gives each weight its own step size, from running means of its gradient and of the squared "
        "gradient (Kingma and Ba, 2015). AdamW is the variant that shrinks the weights directly instead of through the "
        "gradient; the course trains with it.",
        ("fine-tuning",),
        "03_fine_tuning",
    ),
    Term(
        "Adversarial attack",
        "A method that searches for a small change of an input that makes a model wrong. An attack that knows the weights can"
        " follow the gradient of the loss with respect to the input; one that does not must call the model many times.",
        ("adversarial-example", "hidden-gradient"),
        "07_auditing",
    ),
    Term(
        "Adversarial example",
        "An input that was changed on purpose, often too little for a person to notice, so that a model gets it wrong "
        "(Szegedy et al., 2014). Accuracy on ordinary test images says nothing about such inputs, and nor does a passport of "
        "this course.",
        ("adversarial-attack", "accuracy"),
        "07_auditing",
    ),
    Term(
        "Agentic AI",
        "A system in which a model chooses and carries out several steps towards a goal, for example by calling programs and "
        "reading their results, instead of answering once. Its model is called many times for one task, so latency and memory"
        " per call are more important.",
        ("latency",),
        "",
    ),
)
