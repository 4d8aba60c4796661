"""Pictures, videos and cameras in; files out."""
