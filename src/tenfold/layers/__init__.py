"""What tenfold does to `torch.nn` modules: read, count, replace, save and rebuild them."""
