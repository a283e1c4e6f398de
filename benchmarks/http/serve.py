"""One server: ``python -m benchmarks.http.serve MODULE KIND URL FD`` answers on a socket that its parent has opened."""

import importlib
import socket
import sys

import uvicorn
from sqlalchemy import make_url

if __name__ == "__main__":
    module, kind, url, descriptor = sys.argv[1:]
    app = importlib.import_module(module).application(kind, make_url(url))
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])
