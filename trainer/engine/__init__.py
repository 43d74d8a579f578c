"""The engine: a Keras model with its optimizer and data on one device, and one module per backend."""
