"""The web page for employees: ask and search in Japanese. It draws; :mod:`ragjp` thinks."""
