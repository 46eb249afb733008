package main

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// For a message that is not found in what is sent: the connection breaks without it.
const cutPatience = 500 * time.Millisecond

// The connections of clients, to be found by their addresses and broken.
type connections struct {
	mu   sync.Mutex
	open map[string]*connection
}

func newConnections() *connections { return &connections{open: map[string]*connection{}} }

func (c *connections) from(address net.Addr) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[address.String()]
}

// The listener whose connections are kept here.
func (c *connections) of(listener net.Listener) net.Listener { return &known{listener, c} }

type known struct {
	net.Listener
	connections *connections
}

func (k *known) Accept() (net.Conn, error) {
	accepted, err := k.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &connection{Conn: accepted, all: k.connections}
	k.connections.mu.Lock()
	defer k.connections.mu.Unlock()
	k.connections.open[accepted.RemoteAddr().String()] = one
	return one, nil
}

type connection struct {
	net.Conn
	all *connections

	mu sync.Mutex
	// What it breaks in the middle of.
	mark []byte
	cut  bool
}

// Breaks the connection in the middle of the next message of these bytes.
func (c *connection) cutIn(message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A long message is written in pieces.
	c.mark, c.cut = message[:min(len(message), 1000)], true
	time.AfterFunc(cutPatience, func() { _ = c.Close() })
}

func (c *connection) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := bytes.Index(data, c.mark)
	if !c.cut || at < 0 {
		return c.Conn.Write(data)
	}
	written, _ := c.Conn.Write(data[:at+len(c.mark)/2])
	_ = c.Close()
	return written, net.ErrClosed
}

func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c.RemoteAddr().String())
	c.all.mu.Unlock()
	return c.Conn.Close()
}
