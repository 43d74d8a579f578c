"""Other implementations to compare with: PyTorch, model.fit, airbench, MLflow."""
