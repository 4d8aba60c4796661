"""Model files, their specs, and running them. The only user of onnxruntime."""
