"""The words of unit 01, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

PRUNING_WORDS = of_unit(
    "01_pruning",
    Term(
        "Global pruning",
        "All weights of a network are ranked in one list, and those with the lowest scores are removed, in any layer. Layers "
        "with small weights then lose more than others. Layer-wise pruning, in contrast, removes the same share of every "
        "layer.",
        ("magnitude-pruning", "sensitivity-scan", "sparsity"),
    ),
    Term(
        "Lottery ticket",
        "A small part of an untrained network that learns as well alone as the whole does, from the same initial values "
        "(Frankle and Carbin, 2019). It is found by training, pruning and rewinding the rest to its initial values. For large"
        " networks it is rewound to values after some training instead.",
        ("magnitude-pruning", "pruning"),
    ),
    Term(
        "Magnitude pruning",
        "Pruning by the simplest score: the weights nearest to zero are removed (Han et al., 2015). It needs no data, and "
        "with some training afterwards few methods are better.",
        ("pruning", "wanda", "global-pruning"),
    ),
    Term(
        "Pareto front",
        "Of many candidates, those for which no other is at least as good in every respect and better in one: none is as "
        "small and more accurate, or as accurate and smaller. A candidate that is not on the front never needs to be chosen.",
        ("sensitivity-scan", "bytes-of-a-model", "accuracy"),
    ),
    Term(
        "Sensitivity scan",
        "Pruning one layer at a time and measuring the accuracy on validation images, at several sparsities. The curves show "
        "from which layers many weights can be removed; an allocation of sparsities uses them.",
        ("global-pruning", "pareto-front", "validation-set"),
    ),
    Term(
        "Sparsity",
        "The fraction of weights that are exactly zero. It makes a model faster or its file smaller only with a kernel and a "
        "format that skip the zeros.",
        ("pruning",),
    ),
    Term(
        "Structured pruning",
        "Removing whole channels, heads or hidden units, so that smaller ordinary layers are left. It is faster on any "
        "machine without a special kernel, and costs more accuracy than unstructured zeros.",
        ("pruning", "n-m-sparsity", "mac"),
    ),
    Term(
        "Wanda",
        "A score for pruning: the magnitude of a weight times the l2 norm of its input (Sun et al., 2023). Weights are "
        "compared within a row. It needs some unlabelled inputs and no training.",
        ("magnitude-pruning", "calibration-set"),
    ),
)
