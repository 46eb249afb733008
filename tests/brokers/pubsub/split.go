package main

import (
	"bytes"
	"io"
	"net"
	"time"
)

// What every HTTP/2 connection without TLS begins with, as far as no HTTP/1.1 request does.
var http2Begins = []byte("PRI * HTTP/2")

const firstBytesPatience = 10 * time.Second

// Connections of one listener, told apart by their first bytes.
type split struct {
	net.Listener
	rpc, rest handedOver
}

// The listener of one kind of connection.
type handedOver struct {
	address     net.Addr
	connections chan net.Conn
}

func newSplit(listener net.Listener) *split {
	of := func() handedOver { return handedOver{listener.Addr(), make(chan net.Conn)} }
	return &split{listener, of(), of()}
}

func (s *split) run() error {
	for {
		connection, err := s.Accept()
		if err != nil {
			return err
		}
		go s.handOver(connection)
	}
}

// A client of HTTP/2 speaks first, and so does one of HTTP/1.1.
func (s *split) handOver(connection net.Conn) {
	first := make([]byte, len(http2Begins))
	_ = connection.SetReadDeadline(time.Now().Add(firstBytesPatience))
	read, err := io.ReadFull(connection, first)
	if err != nil {
		_ = connection.Close()
		return
	}
	_ = connection.SetReadDeadline(time.Time{})
	begun := &begun{connection, first[:read]}
	if bytes.Equal(first, http2Begins) {
		s.rpc.connections <- begun
	} else {
		s.rest.connections <- begun
	}
}

// A connection of which some bytes have been looked at.
type begun struct {
	net.Conn
	first []byte
}

func (c *begun) Read(into []byte) (int, error) {
	if len(c.first) > 0 {
		read := copy(into, c.first)
		c.first = c.first[read:]
		return read, nil
	}
	return c.Conn.Read(into)
}

func (h handedOver) Accept() (net.Conn, error) { return <-h.connections, nil }
func (h handedOver) Addr() net.Addr            { return h.address }
func (h handedOver) Close() error              { return nil }
