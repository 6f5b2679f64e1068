"""The report of a version: pictures, an animation, and one page that holds everything.

`command` is `policyd-trainer report` and `start` starts it; `subject` reads the version, `build`
makes the files, `learning_curve` and `pictures` draw, `animation` films an episode, `page` writes
the HTML.
"""
