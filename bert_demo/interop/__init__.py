"""Models of the world outside, made into this project's checkpoints, and the other way."""
