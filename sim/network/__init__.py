"""What `vta` shows of networks."""
