"""Do the checks tell right from wrong, beyond the mistakes that we thought of? Saboteurs, mutants, and folders of written answers.

A right answer is made wrong in a systematic way, and the check must notice. `grading.prove` tries the known mistakes; these modules
try what nobody listed.
"""
