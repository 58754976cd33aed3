"""The server that people write themselves: sentence-transformers behind FastAPI, with one call per request.

``serving.py`` starts it. It needs an environment with sentence-transformers, fastapi and uvicorn.
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
    """The body of a request."""

    input: str | list[str]
    encoding_format: str = "float"


@app.post("/v1/embeddings")
def embeddings(body: Body) -> dict[str, Any]:
    """Embed the texts of a request. FastAPI calls this in a thread, so requests can overlap."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    data = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(model.encode(texts))]
    return {"data": data}


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
