"""The server without HTTP: models, their queues, and the threads that work for the event loop."""
