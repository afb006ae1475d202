"""Exposures and Greeks of a book, projected margin, and limits that answer Allowed or Denied with the facts."""
