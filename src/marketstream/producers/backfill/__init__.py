"""History fetched over REST into the same topics and tables as what comes live."""
