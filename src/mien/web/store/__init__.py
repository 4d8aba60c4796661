"""The database: recorded sessions, video jobs and their files."""
