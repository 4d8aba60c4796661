"""What is kept: recorded sessions, jobs, and files in chunks. Results, never pictures unasked."""
