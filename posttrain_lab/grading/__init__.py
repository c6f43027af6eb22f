"""From a source notebook to a grade: release the course, prove the checks, check your own work, grade a class."""
