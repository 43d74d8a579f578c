"""Random augmentation of training images: sampling its parameters and applying them."""
