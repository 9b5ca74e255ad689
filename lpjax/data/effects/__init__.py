"""What corrupts an image, one family a file. Every effect is a function of many images at once.

It takes images `[N, H, W, C]`, float64 in [0, 1], generators of random numbers and the parameters of a severity, and
gives images that are yet to be clipped; one that adds color makes gray images colored. A generator serves one array
whose first axis is that of the images, so what an image gets does not depend on how many follow it. Where the numbers
used depend on the image, as in rejection, it spawns one generator an image.
"""
