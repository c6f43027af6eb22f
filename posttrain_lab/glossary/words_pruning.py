"""The words of unit 01, sorted."""

from posttrain_lab.glossary.term import Term

UNIT = "01_pruning"
PRUNING_WORDS = (
    Term(
        "Global pruning",
        "All weights of a network are ranked in one list, and the lowest go, wherever they are. Layers with small "
        "weights then lose more than others. Its counterpart removes the same share of every layer.",
        UNIT,
        ("magnitude-pruning", "sensitivity-scan", "sparsity"),
    ),
    Term(
        "Lottery ticket",
        "A small part of an untrained network that learns as well alone as the whole does, from the same first values "
        "(Frankle and Carbin, 2019). It is found by training, pruning and putting the rest back to its first values. "
        "For large networks the rest is put back to values after some training instead.",
        UNIT,
        ("magnitude-pruning", "pruning"),
    ),
    Term(
        "Magnitude pruning",
        "Pruning by the simplest score: the weights nearest to zero go (Han et al., 2015). It needs no data, and with "
        "some training afterwards it is hard to beat.",
        UNIT,
        ("pruning", "wanda", "global-pruning"),
    ),
    Term(
        "Pareto front",
        "Of many candidates those that no other beats in every respect: nothing is as small and better, or as good and "
        "smaller. Between two points on the front one must choose; a point off it is never worth having.",
        UNIT,
        ("sensitivity-scan", "bytes-of-a-model", "accuracy"),
    ),
    Term(
        "Sensitivity scan",
        "Pruning one layer at a time and measuring the accuracy on validation images, at several sparsities. The curves "
        "tell which layers can give much, and an allocation spends a budget by them.",
        UNIT,
        ("global-pruning", "pareto-front", "validation-set"),
    ),
    Term(
        "Structured pruning",
        "Removing whole channels, heads or hidden units, so that smaller ordinary layers are left. It is faster on any "
        "machine without a special kernel, and costs more accuracy than zeros anywhere.",
        UNIT,
        ("pruning", "n-m-sparsity", "mac"),
    ),
    Term(
        "Wanda",
        "A score for pruning: the magnitude of a weight times the l2 norm of the input that it meets (Sun et al., 2023). "
        "Weights are compared within a row. It needs some unlabelled inputs and no training.",
        UNIT,
        ("magnitude-pruning", "calibration-set"),
    ),
)
