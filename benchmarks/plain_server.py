"""What people write themselves: sentence-transformers behind FastAPI, each request a call of its own.

Needs an environment with sentence-transformers, fastapi and uvicorn; ``serving.py`` starts it.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1])
app = FastAPI()


class Body(BaseModel):
    """What is asked."""

    input: str | list[str]
    encoding_format: str = "float"


@app.post("/v1/embeddings")
def embeddings(body: Body) -> dict[str, Any]:
    """FastAPI calls this in a thread, so that requests can overlap."""
    given = [body.input] if isinstance(body.input, str) else body.input
    data = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(model.encode(given))]
    return {"data": data}


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
