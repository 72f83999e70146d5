"""What is concluded: a static site from result files."""
