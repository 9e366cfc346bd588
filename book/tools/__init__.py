"""What makes the book: each module is run as `python -m book.tools.NAME`."""

import sys

# A pipe or a file may lack a letter of what is printed, which is no reason to stop.
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
