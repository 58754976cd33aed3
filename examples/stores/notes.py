"""The notes that the examples store, and the question they search for."""

NOTES = [
    "The lease of the flat ends on the last day of June.",
    "To reset a password, use the link on the login page.",
    "The cat has to see the vet every spring.",
    "Coffee beans keep longest in a dark, airtight tin.",
    "Backups run every night at two and are kept for a month.",
    "The train to the coast leaves from platform nine.",
    "Rent is due on the first working day of the month.",
    "Water the ferns twice a week, and the cactus hardly ever.",
]
QUESTION = "How do I get back into my account?"
COUNT = 3
