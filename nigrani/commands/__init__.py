"""The verbs that need both the agent and the detector."""
