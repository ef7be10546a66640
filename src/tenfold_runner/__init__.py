"""What is shipped to a device: one compressed network, a window and a command line around it.

It imports neither PyTorch nor tenfold.
"""
