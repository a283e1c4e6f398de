"""Views: the reader's own classes become one column select a statement; generated code builds them from the rows."""
