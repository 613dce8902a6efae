"""Real servers on localhost for the tests to talk to."""
