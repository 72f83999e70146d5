"""The features family: which directions of its input does a trained model keep, and how are its classes laid out?"""
