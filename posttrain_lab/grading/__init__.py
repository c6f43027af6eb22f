"""From a source notebook to a grade: release the course, prove the checks, check one's own work, grade a class."""
