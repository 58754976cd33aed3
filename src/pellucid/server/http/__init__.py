"""The server as HTTP: connections, requests, routes, answers and pages."""
