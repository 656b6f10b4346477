"""Where log lines come from while the agent runs, one module each."""
