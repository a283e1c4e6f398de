"""loadplan beside other ways to do the same, measured in turn."""
