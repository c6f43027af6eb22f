"""The words of unit 03, sorted."""

from posttrain_lab.glossary.term import Term

UNIT = "03_fine_tuning"
TUNING_WORDS = (
    Term(
        "Adapter",
        "A small set of weights beside those of a network, trained for one task while the network itself stays as it is. "
        "Adapters of several tasks can be exchanged over one copy of the network.",
        UNIT,
        ("lora", "freezing"),
    ),
    Term(
        "AdamW",
        "Adam with the weight decay taken out of the gradient: every step first shrinks the weight by a small part of itself, "
        "then follows the gradient (Loshchilov and Hutter, 2019).",
        UNIT,
        ("adam", "weight-decay"),
    ),
    Term(
        "Batch norm",
        "A layer that centres and scales each channel, in training by the batch it sees, afterwards by running means that it "
        "kept. These means are moved by no gradient, so freezing the weights alone does not hold them.",
        UNIT,
        ("batch-norm-folding", "freezing", "buffer"),
    ),
    Term(
        "Catastrophic forgetting",
        "What a network could do before is lost while it learns something else, because the same weights serve both. It is "
        "measured by testing the old task again.",
        UNIT,
        ("elastic-weight-consolidation", "replay", "adapter"),
    ),
    Term(
        "Discriminative learning rates",
        "A learning rate of its own for each layer, usually smaller for early ones, whose features are of use to many tasks "
        "(Howard and Ruder, 2018).",
        UNIT,
        ("learning-rate", "freezing"),
    ),
    Term(
        "Distillation",
        "Training a small network, the student, on the probabilities of a larger one, the teacher, softened by a temperature "
        "(Hinton, Vinyals, Dean, 2015). They say more than a label: also what the image resembles.",
        UNIT,
        ("kl-divergence", "softmax"),
    ),
    Term(
        "Elastic weight consolidation (EWC)",
        "A penalty that pulls each weight back to its value before training, the harder the more the old task depends on it "
        "(Kirkpatrick et al., 2017).",
        UNIT,
        ("fisher-information", "catastrophic-forgetting"),
    ),
    Term(
        "Entropy",
        "How unsure a distribution is: minus the sum of p log p. It is 0 when one class has all the probability, and largest "
        "when all have the same.",
        UNIT,
        ("active-learning", "softmax", "kl-divergence"),
    ),
    Term(
        "Fisher information",
        "How strongly the predictions of a model depend on each weight: the mean squared derivative of the log-probability of "
        "an answer. Its diagonal has one number a weight.",
        UNIT,
        ("elastic-weight-consolidation", "hessian"),
    ),
    Term(
        "Freezing",
        "Keeping parameters as they are while others learn. Running means of batch norms are no parameters and must be held "
        "apart, by eval mode.",
        UNIT,
        ("fine-tuning", "batch-norm", "adapter"),
    ),
    Term(
        "Learning rate",
        "The factor by which a step follows the gradient. Too small, and nothing happens in the time there is; too large, and "
        "the loss jumps or grows. Fine-tuning usually takes a smaller one than the first training.",
        UNIT,
        ("adam", "discriminative-learning-rates"),
    ),
    Term(
        "LoRA",
        "Low-rank adaptation (Hu et al., 2022): a weight stays, and the product of two thin matrices is learned beside it. One "
        "of them begins at zero, so the network starts as it was. The product can be added to the weight at the end.",
        UNIT,
        ("adapter", "rank"),
    ),
    Term(
        "Rank",
        "How many directions a matrix really uses: the smallest number of outer products that add up to it. A thin product "
        "B A has at most as many as A has rows.",
        UNIT,
        ("lora", "outer-product"),
    ),
    Term(
        "Replay",
        "Mixing examples of the old task into the training on the new one, so that the old one is rehearsed. It needs the old "
        "examples.",
        UNIT,
        ("catastrophic-forgetting",),
    ),
    Term(
        "Weight decay",
        "Shrinking each weight by a small part of itself in every step. It keeps weights small that nothing else holds. Biases "
        "and the scales of norms are usually spared.",
        UNIT,
        ("adamw", "weight"),
    ),
)
