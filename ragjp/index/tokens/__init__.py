"""The late-interaction store: packed int8 rows of token vectors, read row by row, each verified when it is first read."""
