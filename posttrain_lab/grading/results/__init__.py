"""What a graded class gives out: tables for learning platforms, a page for the instructor, and a folder to look for copies in."""
