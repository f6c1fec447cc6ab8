"""The command line `dcal`."""
