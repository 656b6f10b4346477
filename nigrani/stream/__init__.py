"""What travels from the agents to the detectors: events, their schemas and codec, and the bus."""
