"""The passages that the examples rank, and the question they answer."""

MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"
PASSAGES = [
    "The lease of the flat ends on the last day of June.",
    "To reset a password, use the link on the login page.",
    "The cat has to see the vet every spring.",
    "Backups run every night at two and are kept for a month.",
    "Passwords must have at least twelve characters.",
]
QUESTION = "How do I get back into my account?"
COUNT = 3
