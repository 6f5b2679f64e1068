"""The TrainingService over gRPC."""
