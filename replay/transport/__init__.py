"""The only sockets in replay: connecting, HTTP/1.1, Socket.IO over WebSocket."""
