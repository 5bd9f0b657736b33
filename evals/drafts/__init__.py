"""Questions about one's own documents, drafted for a person to accept (``ragjp eval-draft``)."""
