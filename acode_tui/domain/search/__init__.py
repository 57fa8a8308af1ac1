"""The rules of search: tokens, the query language, what is searched, and which places a query finds. Pure."""
