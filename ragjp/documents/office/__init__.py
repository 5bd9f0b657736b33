"""Word, Excel and PowerPoint: read from the parts of their ZIP with the standard library alone.

``kinds`` tells from the bytes what a file is; ``package`` opens the ZIP and the XML inside limits; ``docx``, ``xlsx`` and ``pptx``
read; ``old`` has LibreOffice turn what came before them into these. Nothing that a file points at outside of itself is ever opened.
"""
