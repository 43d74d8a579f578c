"""Images for pages: augmentation previews, predictions, evaluation."""
