"""What an agent and a detector both need to run as a service."""
