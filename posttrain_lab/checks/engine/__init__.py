"""What an exercise is, how an answer is called, judged and diagnosed: the same for every unit."""
