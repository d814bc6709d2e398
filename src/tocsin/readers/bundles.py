"""From a folder to bundles of files, and from a bundle to its runs: the door of this room.

``survey`` opens only the heads of files; ``read_bundle`` needs nothing but its bundle, so that bundles can be read in
other processes.
"""

from tocsin.readers.found import Bundle, Found, Runs
from tocsin.readers.reading import read_bundle
from tocsin.readers.surveying import Survey, survey

__all__ = ["Bundle", "Found", "Runs", "Survey", "read_bundle", "survey"]
