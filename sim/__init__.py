"""The co-simulation testbench: build, device, monitors, reports and the vta command."""
