"""Runtime code of the backends: read with `ast` and copied into generated files.

The modules beside this one each need their own framework; none is imported here.
"""
