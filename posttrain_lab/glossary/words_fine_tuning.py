"""The words of unit 03, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

FINE_TUNING_WORDS = of_unit(
    "03_fine_tuning",
    Term(
        "AdamW",
        "Adam with decoupled weight decay: every step first multiplies the weight by a number a little below 1, then takes "
        "the step of Adam (Loshchilov and Hutter, 2019).",
        ("adam", "weight-decay"),
    ),
    Term(
        "Adapter",
        "A small set of weights beside those of a network, trained for one task while the network itself is frozen. Adapters "
        "of several tasks can be exchanged over one copy of the network.",
        ("lora", "freezing"),
    ),
    Term(
        "Batch norm",
        "A layer that centres and scales each channel, in training by the statistics of the batch, afterwards by stored "
        "running statistics. These are not changed by a gradient, so freezing the weights alone does not freeze them.",
        ("batch-norm-folding", "freezing", "buffer"),
    ),
    Term(
        "Catastrophic forgetting",
        "A network loses accuracy on an old task while it learns a new one, because both use the same weights. It is measured"
        " by testing on the old task again.",
        ("elastic-weight-consolidation", "replay", "adapter"),
    ),
    Term(
        "Discriminative learning rates",
        "A learning rate of its own for each layer, usually smaller for early ones, whose features are useful for many tasks "
        "(Howard and Ruder, 2018).",
        ("learning-rate", "freezing"),
    ),
    Term(
        "Distillation",
        "Training a small network, the student, on the probabilities of a larger one, the teacher, softened by a temperature "
        "(Hinton, Vinyals, Dean, 2015). These contain more than a label: also which other classes are similar.",
        ("kl-divergence", "softmax"),
    ),
    Term(
        "Elastic weight consolidation (EWC)",
        "A penalty that pulls each weight back to its value before training, the more strongly, the more the old task depends"
        " on it (Kirkpatrick et al., 2017).",
        ("fisher-information", "catastrophic-forgetting"),
    ),
    Term(
        "Entropy",
        "A measure of the uncertainty of a distribution: minus the sum of p log p. It is 0 when one class has all the "
        "probability, and largest when all have the same.",
        ("active-learning", "softmax", "kl-divergence"),
    ),
    Term(
        "Fisher information",
        "How strongly the predictions of a model depend on each weight: the mean squared derivative of the log-probability of"
        " an answer. Its diagonal has one number a weight.",
        ("elastic-weight-consolidation", "hessian"),
    ),
    Term(
        "Freezing",
        "Keeping parameters unchanged while others are trained. The running statistics of batch norms are not parameters and "
        "must be frozen separately, by eval mode.",
        ("fine-tuning", "batch-norm", "adapter"),
    ),
    Term(
        "Learning rate",
        "The factor by which the gradient is multiplied in a step. If it is too small, training is too slow; if it is too "
        "large, the loss oscillates or grows. Fine-tuning usually uses a smaller one than the first training.",
        ("adam", "discriminative-learning-rates"),
    ),
    Term(
        "LoRA",
        "Low-rank adaptation (Hu et al., 2022): a weight is frozen, and the product of two small matrices is learned beside "
        "it. One of them begins at zero, so at the start the network computes the same as before. The product can be added to"
        " the weight at the end.",
        ("adapter", "rank"),
    ),
    Term(
        "Rank",
        "The smallest number of outer products whose sum is the matrix. The rank of a product B A is at most the number of "
        "rows of A.",
        ("lora", "outer-product"),
    ),
    Term(
        "Replay",
        "Mixing examples of the old task into the training on the new one, so that the old task is trained too. It needs the "
        "old examples.",
        ("catastrophic-forgetting",),
    ),
    Term(
        "Weight decay",
        "Multiplying each weight by a number a little below 1 in every step. It keeps weights small that the loss hardly "
        "depends on. Biases and the scales of norms usually have none.",
        ("adamw", "weight"),
    ),
)
