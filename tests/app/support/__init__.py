"""What the app's tests share."""
