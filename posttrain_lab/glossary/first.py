"""The words that the course is about, in the order in which a newcomer needs them."""

from posttrain_lab.glossary.term import Term

FIRST = (
    Term(
        "Post-training",
        "Everything that is done to a model after its first training: making it smaller, making it faster, teaching "
        "it something more, or making its confidences honest. The model that comes in is finished and the new one "
        "must be compared with it. This is the subject of the whole course.",
        "00_start_here",
        ("pruning", "quantization", "fine-tuning", "calibration"),
    ),
    Term(
        "Pruning",
        "Setting weights to zero, or removing whole channels, because the model does nearly as well without them. "
        "Zeros alone save nothing: the file and the run become smaller only when the zeros are not stored and not "
        "multiplied.",
        "01_pruning",
        ("sparsity", "fine-tuning"),
    ),
    Term(
        "Quantization",
        "Storing numbers as integers of few bits together with a scale that says what one step is worth. A weight of "
        "32 bits becomes a code of 8 or 4 bits, so the model takes less memory, and integer arithmetic can be "
        "faster. The price is a rounding error in each number.",
        "02_quantization",
        ("scale", "zero-point", "fake-quantization", "integer-only-network"),
    ),
    Term(
        "Fine-tuning",
        "Training a finished model a little further, on other data or for another task, usually with a small "
        "learning rate. It starts from weights that already know something, so it may need far fewer labels than "
        "training from the start. What the model knew before can be lost on the way.",
        "03_fine_tuning",
        ("quantization-aware-training", "adam", "pruning"),
    ),
    Term(
        "Calibration",
        "A model is calibrated when its confidences are hit rates: of all predictions made with confidence 0.8, "
        "eight in ten are right. To calibrate a model is to correct its confidences on held-out examples until that "
        "is nearly so. In quantization the same word means something else: choosing the ranges of activations on a "
        "few examples.",
        "04_calibration",
        ("confidence", "expected-calibration-error", "calibration-set"),
    ),
    Term(
        "Accuracy",
        "The fraction of examples whose predicted class is the right one, between 0 and 1. It is measured on a "
        "sample, so it comes with an interval. It hides which classes fail and how sure the model was.",
        "00_start_here",
        ("wilson-interval", "worst-class-accuracy", "test-set"),
    ),
    Term(
        "Active learning",
        "Choosing which examples a person should label next, usually those about which the model is least sure. The "
        "aim is the same accuracy from fewer labels. It does not always beat choosing at random, so it has to be "
        "compared with that.",
        "03_fine_tuning",
        ("fine-tuning", "confidence"),
    ),
    Term(
        "Adam",
        "An optimizer that gives each weight its own step size, from running means of its gradient and of the "
        "squared gradient (Kingma and Ba, 2015). AdamW is the variant that shrinks the weights directly instead of "
        "through the gradient; the course trains with it.",
        "03_fine_tuning",
        ("fine-tuning",),
    ),
    Term(
        "Adversarial attack",
        "A method that searches for a small change of an input that makes a model wrong. An attack that knows the "
        "weights can follow the gradient of the loss with respect to the input; one that does not must ask the model "
        "many times.",
        "",
        ("adversarial-example",),
    ),
    Term(
        "Adversarial example",
        "An input that was changed on purpose, often too little for a person to notice, so that a model gets it "
        "wrong (Szegedy et al., 2014). Accuracy on ordinary test images says nothing about such inputs, and nor does "
        "a passport of this course.",
        "",
        ("adversarial-attack", "accuracy"),
    ),
    Term(
        "Agentic AI",
        "A system in which a model chooses and carries out several steps towards a goal, for example by calling "
        "programs and reading what they answer, instead of answering once. Its model is called many times for one "
        "task, so latency and memory per call weigh more.",
        "",
        ("latency",),
    ),
)
