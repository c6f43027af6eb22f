"""The list of all saboteurs, by group."""

from posttrain_lab.proof.coarse_inputs import COARSE_INPUTS
from posttrain_lab.proof.output_forms import OUTPUT_FORMS
from posttrain_lab.proof.regions import REGIONS
from posttrain_lab.proof.side_effects import ARGUMENTS, MACHINE, MEMORY

SABOTEURS = (*REGIONS, *COARSE_INPUTS, *OUTPUT_FORMS, *ARGUMENTS, *MACHINE, *MEMORY)
