"""Dead letters made workable: looked through, read again with today's adapters, and put back."""
