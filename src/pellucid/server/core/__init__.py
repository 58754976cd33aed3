"""The server without HTTP: the models, their queues, and the threads that do long work for the event loop."""
