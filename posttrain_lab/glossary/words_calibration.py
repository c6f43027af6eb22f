"""The words of unit 04, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

CALIBRATION_WORDS = of_unit(
    "04_calibration",
    Term(
        "Base rate",
        "The share of a class among all examples. A model that gives everyone the base rate is calibrated and useless; one "
        "that was trained with another base rate has log-odds that are shifted by a constant.",
        ("calibration", "bayes-threshold"),
    ),
    Term(
        "Bayes threshold",
        "The probability from which on an alarm is the cheaper choice: the cost of a false alarm, divided by the sum of that "
        "cost and the cost of a miss. It is right only for calibrated probabilities.",
        ("expected-cost", "calibration"),
    ),
    Term(
        "Brier score",
        "The mean over examples of the squared distance between the probabilities and the true class, summed over all classes"
        " (Brier, 1950). 0 is perfect, 2 the worst. It is a proper score.",
        ("proper-score", "negative-log-likelihood"),
    ),
    Term(
        "Confidence",
        "The probability that a model gives to the class it predicts: the largest output of softmax. Calibration measures "
        "whether these probabilities are correct.",
        ("softmax", "calibration", "expected-calibration-error"),
    ),
    Term(
        "Conformal prediction",
        "Sets of classes with guaranteed coverage: the true class is in the set with at least the chosen probability, for any"
        " model (Vovk et al., 2005). The guarantee holds on average, and only for new examples from the same source as the "
        "calibration examples.",
        ("calibration-set", "distribution-shift"),
    ),
    Term(
        "Distribution shift",
        "New examples come from another source than those a model was fitted on: rotated images, another hospital, another "
        "year. Accuracy falls, confidence falls less, and the old calibration set does not tell by how much.",
        ("calibration", "confidence"),
    ),
    Term(
        "Expected calibration error",
        "Predictions are sorted into bins by confidence; in each bin the hit rate is compared with the mean confidence, and "
        "the absolute differences are averaged, weighted by the number of predictions in the bin. 0 is perfect. The value "
        "depends on the bins, so they are always stated.",
        ("calibration", "confidence", "reliability-diagram"),
    ),
    Term(
        "Expected cost",
        "The average cost per person of a decision rule, when false alarms and misses have different costs. It depends on the"
        " threshold and can be drawn as a curve over it.",
        ("bayes-threshold",),
    ),
    Term(
        "Isotonic regression",
        "The curve that never falls and has the smallest squared distance to the labels. It is found by replacing neighbours "
        "that fall by their weighted mean (pool adjacent violators). It has few assumptions and needs many examples.",
        ("platt-scaling", "calibration"),
    ),
    Term(
        "Log-odds",
        "log(p / (1 - p)): a probability mapped to all real numbers. One half is mapped to 0, and equal steps multiply the "
        "odds by the same factor. The sigmoid is the inverse.",
        ("logits", "platt-scaling"),
    ),
    Term(
        "Negative log-likelihood",
        "The mean of minus the logarithm of the probability that a model gave to the true class; also called cross-entropy or"
        " log loss. If a model gives it probability 0, the loss is infinite. It is a proper score.",
        ("proper-score", "brier-score"),
    ),
    Term(
        "Platt scaling",
        "A linear function of a score, turned into a probability by the sigmoid: sigmoid(a x score + b) (Platt, 1999). Its "
        "two parameters are fitted on calibration examples. If the true curve has another shape, it can make calibration "
        "worse.",
        ("temperature-scaling", "isotonic-regression", "log-odds"),
    ),
    Term(
        "Proper score",
        "A score of probabilities that is best on average for the true ones only. The negative log-likelihood and the Brier "
        "score are proper; accuracy and the expected calibration error are not.",
        ("brier-score", "negative-log-likelihood"),
    ),
    Term(
        "Reliability diagram",
        "A figure of hit rate against confidence, bin by bin. The points of a calibrated model lie on the diagonal.",
        ("expected-calibration-error", "calibration"),
    ),
    Term(
        "Selective prediction",
        "Answering only at high confidence and leaving the rest to a person. The risk-coverage curve shows the share of wrong"
        " answers against the share of answered examples. It depends only on the order of the confidences.",
        ("confidence",),
    ),
    Term(
        "Temperature scaling",
        "Dividing all logits by one number T, fitted on calibration examples by the negative log-likelihood (Guo et al., "
        "2017). It changes the confidences and not the predicted classes. T above 1 lowers the confidences.",
        ("logits", "softmax", "calibration", "negative-log-likelihood"),
    ),
)
