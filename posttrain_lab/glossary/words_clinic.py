"""The words of unit 11, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

CLINIC_WORDS = of_unit(
    "11_clinic",
    Term(
        "Data leakage",
        "Information in training that will not be there in use: a test image, or a near copy of it, among the training images, or a "
        "feature that knows the answer. Scores become better, and the model does not (Kapoor and Narayanan, 2023).",
        ("test-set", "silent-failure"),
    ),
    Term(
        "Forward hook",
        "A function that PyTorch calls after a module has computed, with the module, its inputs and its output. It lets one look into "
        "a network without changing its code, and stays until it is removed.",
        ("silent-failure",),
    ),
    Term(
        "Overfitting one batch",
        "A test: can the network learn a few examples by heart? If not, loss, labels and gradients do not belong together, and more "
        "training will not help.",
        ("silent-failure",),
    ),
    Term(
        "Silent failure",
        "A mistake after which a program ends without an error, with numbers that look plausible. Most mistakes of training are of "
        "this kind, because a network learns around them. They are found by measuring what a healthy run would show.",
        ("data-leakage", "overfitting-one-batch"),
    ),
)
