"""From a plan to a network that is made of chains."""
