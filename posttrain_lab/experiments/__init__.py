"""What several techniques are needed for: the confidences of compressed networks, and what one unit hands to the next."""
