"""The pages, one module a noun; each view takes the desk and a request, and answers in a worker thread."""
