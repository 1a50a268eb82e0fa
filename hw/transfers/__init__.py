"""Between DRAM and the scratchpads: the bus, DMA, the load and store stages."""
