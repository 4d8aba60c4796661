"""Models: their facts, their files, and running them. The only user of onnxruntime."""
