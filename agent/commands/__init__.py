"""The verbs of `nigrani agent`."""
