"""The web process and the records. Never imports Keras, TensorFlow or JAX."""
