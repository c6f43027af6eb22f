"""The words of unit 08, sorted."""

from posttrain_lab.glossary.term import of_unit

DEPLOYMENT_WORDS = of_unit(
    "08_deployment",
)
