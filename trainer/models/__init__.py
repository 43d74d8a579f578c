"""The nets, written in Keras only, so that any of its backends runs them."""
