"""Networks from model files: read, normalise, quantise, partition, build and run."""
