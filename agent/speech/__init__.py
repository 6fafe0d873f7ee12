"""What the agent says and when: fixed phrases, kept as audio."""
