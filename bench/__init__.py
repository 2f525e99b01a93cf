"""Comparisons and measurements that anyone can run again; RESULTS.md says what they found."""
