"""What the road from agents to alerts bears: brokers that die, detectors that come and go, and how fast it is."""
