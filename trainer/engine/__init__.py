"""The compiled training loop, a file per backend; what each must offer is in interface.py."""
