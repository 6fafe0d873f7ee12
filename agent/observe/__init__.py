"""What a call tells about itself: turns, metrics, cost."""
