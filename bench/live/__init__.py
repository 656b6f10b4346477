"""Live capture beside other tools: what it costs, what it loses, and whether its memory stays flat."""
