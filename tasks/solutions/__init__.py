"""Many solutions fit; which one does an optimizer, or a model class, find?"""
