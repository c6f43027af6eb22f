"""The words of unit 04, sorted."""

from posttrain_lab.glossary.term import Term

UNIT = "04_calibration"
CALIBRATION_WORDS = (
    Term(
        "Base rate",
        "How frequent a class is before anything is known about the example. A model that gives everyone the base rate is calibrated "
        "and useless; one that was trained where the base rate was another is wrong by a shift of its log-odds.",
        UNIT,
        ("calibration", "bayes-threshold"),
    ),
    Term(
        "Bayes threshold",
        "The probability from which on an alarm is the cheaper choice: the cost of a false alarm, divided by the sum of that cost and "
        "the cost of a miss. It is right only for probabilities that are right.",
        UNIT,
        ("expected-cost", "calibration"),
    ),
    Term(
        "Brier score",
        "The mean over examples of the squared distance between the probabilities and the truth, summed over all classes (Brier, "
        "1950). 0 is perfect, 2 the worst. It is a proper score.",
        UNIT,
        ("proper-score", "negative-log-likelihood"),
    ),
    Term(
        "Conformal prediction",
        "Sets of classes with a promise: the true class is in the set with at least the wanted probability, whatever the model (Vovk "
        "et al., 2005). The promise holds on average, and only for new examples from the same source as the calibration examples.",
        UNIT,
        ("calibration-set", "distribution-shift"),
    ),
    Term(
        "Distribution shift",
        "New examples come from another source than those a model was fitted on: turned pictures, another hospital, another year. "
        "Accuracy falls, confidence falls less, and no number fitted before says by how much.",
        UNIT,
        ("calibration", "confidence"),
    ),
    Term(
        "Expected cost",
        "What a decision rule costs for one person on average, when false alarms and misses have prices of their own. It depends on the "
        "threshold and can be drawn as a curve over it.",
        UNIT,
        ("bayes-threshold",),
    ),
    Term(
        "Isotonic regression",
        "The curve that only rises and is nearest to the labels in the squared distance. It is found by pooling neighbours that fall into "
        "their weighted mean (pool adjacent violators). It assumes little and needs many examples.",
        UNIT,
        ("platt-scaling", "calibration"),
    ),
    Term(
        "Log-odds",
        "log(p / (1 - p)): a probability stretched over all real numbers. One half is 0, and equal steps multiply the odds by the same "
        "factor. The sigmoid leads back.",
        UNIT,
        ("logits", "platt-scaling"),
    ),
    Term(
        "Negative log-likelihood",
        "The mean of minus the logarithm of the probability that a model gave to what happened; also called cross-entropy or log loss. A "
        "claim of certainty that turns out wrong costs infinitely much. It is a proper score.",
        UNIT,
        ("proper-score", "brier-score"),
    ),
    Term(
        "Platt scaling",
        "A straight line in log-odds that turns a score into a probability: sigmoid(a x score + b) (Platt, 1999). Its two numbers are "
        "fitted on calibration examples. Where the true curve is no such line, it can make things worse.",
        UNIT,
        ("temperature-scaling", "isotonic-regression", "log-odds"),
    ),
    Term(
        "Proper score",
        "A score of probabilities that is best on average for the true ones only, so that honesty pays. The negative log-likelihood "
        "and the Brier score are proper; accuracy and the expected calibration error are not.",
        UNIT,
        ("brier-score", "negative-log-likelihood"),
    ),
    Term(
        "Selective prediction",
        "Answering only when sure and leaving the rest to a person. The curve of the share of wrong answers over the share of "
        "questions answered shows what that is worth. Only the order of the confidences matters for it.",
        UNIT,
        ("confidence",),
    ),
    Term(
        "Temperature scaling",
        "Dividing all logits by one number T, fitted on calibration examples by the negative log-likelihood (Guo et al., 2017). It changes "
        "the confidences and no answer. T above 1 makes a model more modest.",
        UNIT,
        ("logits", "softmax", "calibration", "negative-log-likelihood"),
    ),
)
