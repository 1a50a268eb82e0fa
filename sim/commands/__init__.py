"""The subcommands of `vta`: each module has HELP, EXAMPLES, `add_arguments` and `run`."""
