"""Everything on one machine, and the conversation that shows it."""
