"""The explorer: one HTML page on which every head of a model can be looked at.

`page.explore` makes it, `extract.read_page` reads the numbers back out of it. The page
is assembled from `explorer.html`, `explorer.css` and the ES modules beside this file;
nothing has to be built, and nothing is fetched when it opens.
"""
