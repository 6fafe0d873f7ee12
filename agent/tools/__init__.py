"""What the agent can do, one file a domain, over one SQLite store.

Every tool answers with a JSON object: `summary` is what may be said aloud, `error` stands in its
place when nothing was done, and the other fields are for the model to reason with.
"""
