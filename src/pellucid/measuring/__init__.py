"""Models measured side by side on this machine: size, speed, and how often they find the same neighbours."""
