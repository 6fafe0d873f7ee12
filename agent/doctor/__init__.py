"""`python agent.py doctor`: would this set-up take a call, and if not, what to change."""
