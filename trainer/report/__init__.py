"""What people look at to judge a version: pictures, an animation, and one page that holds everything.

`build` makes the files, `pictures` draws, `animation` films an episode, `page` writes the HTML.
"""
