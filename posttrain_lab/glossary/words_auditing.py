"""The words of unit 07, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

AUDITING_WORDS = of_unit(
    "07_auditing",
    Term(
        "Adversarial training",
        "Training on images that are attacked anew in every step, so that the network learns to withstand such changes "
        "(Madry et al., 2018). It costs several times the training time and some accuracy on images that nobody attacked.",
        ("adversarial-attack", "adversarial-example"),
    ),
    Term(
        "Attribution",
        "A map that gives each pixel or feature its part in one answer of a model. Different methods give different maps of "
        "the same model, so a map is only evidence after a test that it can fail, for example random weights.",
        ("integrated-gradients", "shapley-value", "interpretability"),
    ),
    Term(
        "Compression-identified exemplar",
        "An image that most compressed networks of a population label differently from most dense ones (Hooker et al., "
        "2019). Rare and unusual images are among them more often than others, which the accuracy hides.",
        ("pruning", "quantization", "accuracy"),
    ),
    Term(
        "Hidden gradient",
        "A gradient that is zero or useless although the model can be fooled, for example because it rounds. Attacks that "
        "follow it fail, and the model looks robust (Athalye et al., 2018: obfuscated gradients). Images made against "
        "another model, or an attack without gradients, show it.",
        ("adversarial-attack", "straight-through-estimator"),
    ),
    Term(
        "Integrated gradients",
        "An attribution: the gradient of a logit, averaged on the straight way from a baseline to the input, times the "
        "difference of the two (Sundararajan et al., 2017). Its parts add up to the change of the logit.",
        ("attribution",),
    ),
    Term(
        "Interpretability",
        "The attempt to say in terms that people understand what a model's answers rest on, by attributions, examples or "
        "the model's own form. An explanation that cannot be wrong explains nothing.",
        ("attribution", "compression-identified-exemplar"),
    ),
    Term(
        "McNemar's test",
        "A test of whether one of two models is better, on the same examples: only those count on which exactly one is right "
        "(McNemar, 1947). Separate intervals of the two accuracies do not answer the question.",
        ("accuracy",),
    ),
    Term(
        "Randomized smoothing",
        "Asking a network about many noisy copies of an input and answering what it says most often. A radius follows within "
        "which no change, measured by its L2 length, alters the answer, with a stated probability (Cohen et al., 2019).",
        ("adversarial-attack",),
    ),
    Term(
        "Shapley value",
        "The share of a feature in an answer, averaged over all orders in which features can be added (Shapley, 1953). For a "
        "linear model it is the weight times the difference from the mean, in log-odds.",
        ("attribution",),
    ),
)
