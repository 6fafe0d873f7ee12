"""`local/brain`: a small deterministic intent engine that speaks OpenAI's chat form.

A request goes `state.track` (what is being talked about) → `policy.decide` (what to do now) →
`engine` (deltas at a speaking model's pace). Nothing is kept between requests: the conversation is
in each one.
"""
