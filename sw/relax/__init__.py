"""Networks from model files: read, normalised, quantised, parted, built and run."""
