"""Packages: a compressed network with all it needs to classify images on another device."""
