"""What an index is on disk, how it is written so that a kill loses nothing, and how it is read under a view.

``catalog.sqlite`` is the one commit point: documents, pages, chunks, access, segments and the generation number. ``segments/`` holds
write-once folders of arrays (vectors, tokens, postings), fsynced and checksummed before the transaction that names them.
"""
