"""The mathematics: tensors in, tensors out, nothing known of networks."""
