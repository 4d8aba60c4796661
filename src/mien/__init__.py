"""mien: apparent facial expressions from photographs, videos and live cameras."""
