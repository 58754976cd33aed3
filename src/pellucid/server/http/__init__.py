"""The HTTP part of the server: connections, requests, routes, responses and pages."""
