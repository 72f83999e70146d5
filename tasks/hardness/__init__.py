"""The hardness family: how many examples and steps does it take to find what is there to be found?"""
