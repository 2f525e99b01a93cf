"""Blocks of a training step, compiled for the processor they run on."""
