"""The effects of image corruptions, one family per file.

An effect is a function `(images, draws, *parameters) -> images` of images `[N, H, W, C]`, float64 in [0, 1], an
iterator of random number generators, and the parameters of a severity. Results are not clipped; effects that add color
return color images for gray ones. Every generator draws one array whose first axis is that of the images, so that the
numbers for an image do not depend on how many images follow. Where the count of random numbers depends on the image, as
in rejection sampling, an effect spawns one generator per image.
"""
