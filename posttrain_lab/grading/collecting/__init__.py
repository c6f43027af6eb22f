"""Take in what learning platforms hand out: read archives and folders, find out whose each file is, put it into submitted/."""
