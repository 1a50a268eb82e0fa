"""From DRAM to the stages: instructions fetched, queued, ordered by tokens, retired; registers and counters."""
