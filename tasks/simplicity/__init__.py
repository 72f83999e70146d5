"""The simplicity family: of the solutions that fit, which does a model class choose?"""
