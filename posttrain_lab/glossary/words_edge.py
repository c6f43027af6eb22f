"""The words of project 12, sorted."""

from posttrain_lab.glossary.term import Term, of_unit

EDGE_WORDS = of_unit(
    "12_project_edge",
    Term(
        "Artefact",
        "What is handed over when a model is done: files that another program can load, with a format that somebody has written down. "
        "An artefact that is data, and no code, can be examined and run by people who do not trust its maker.",
        ("mobile-deployment", "hidden-evaluation"),
    ),
    Term(
        "Hidden evaluation",
        "A score on examples that nobody could see or know before. Here a secret draws them; it is published afterwards, so that everybody "
        "can repeat the score. Who may ask it too often learns about it all the same, so each try must beat the last one beyond chance.",
        ("test-set", "brier-score"),
    ),
)
