"""Instructions from DRAM to the stages: fetch, queues, tokens, retirement; registers, counters."""
