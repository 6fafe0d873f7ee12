"""What a browser needs: the page, and a token for one call."""
