"""A trained model without its training: predict, export."""
