"""The report of a version: pictures, an animation, and one page that holds everything.

`command` is `policyd-trainer report` and `start` starts it. `subject` reads the version, `build`
makes the files and `page` writes the HTML. `aside` calls the functions of `parts` in processes of
their own: `learning_curve` and `pictures` draw, `player` plays, `animation` films an episode.
"""
