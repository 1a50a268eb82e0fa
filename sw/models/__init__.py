"""Networks that run on VTA, with their weights."""
