"""What a person works on: findings of one story together, who has it, what was done, and how it ended."""
