"""The hardware: the tables, and the core in Amaranth."""
