"""The same training by others, to be measured beside ours: PyTorch, model.fit, airbench, MLflow."""
