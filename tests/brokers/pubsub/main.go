// A Pub/Sub server for tests and development: Google's fake of the service (pstest), made to answer what Google's
// clients ask of a real one, and a proxy that fails calls on demand.
//
// Both listen on 127.0.0.1 only, speak gRPC and HTTP/JSON on the same port, keep everything in memory, and end with
// their standard input: whoever starts them holds its other end.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
)

// Larger than any request or answer of Pub/Sub.
const messageBytesMax = 24 << 20

func main() {
	flags := flag.NewFlagSet("pubsub", flag.ExitOnError)
	port := flags.Int("port", 0, "the port of 127.0.0.1; a free one by default")
	to := flags.String("to", "", "the server's HOST:PORT")
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "proxy" {
		fail(errors.New("usage: pubsub serve [--port PORT] | pubsub proxy --to HOST:PORT [--port PORT]"))
	}
	// It ends the process where the arguments are wrong.
	_ = flags.Parse(os.Args[2:])
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fail(err)
	}
	// pstest tells it that we close its own listener, which we do not use.
	log.SetOutput(io.Discard)
	fmt.Println(listener.Addr())
	go endWithInput()
	if os.Args[1] == "proxy" {
		fail(serveProxy(listener, *to))
	}
	fail(serve(listener))
}

// Serves pstest.
func serve(listener net.Listener) error {
	service := newService()
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxSendMsgSize(messageBytesMax))
	service.register(rpc)
	return both(listener, rpc, service.admin())
}

// Serves gRPC and HTTP/1.1 on one listener until it fails.
func both(listener net.Listener, rpc *grpc.Server, rest http.Handler) error {
	split := newSplit(listener)
	ended := make(chan error, 3)
	go func() { ended <- rpc.Serve(split.rpc) }()
	web := &http.Server{Handler: rest, ReadHeaderTimeout: 10 * time.Second}
	go func() { ended <- web.Serve(split.rest) }()
	go func() { ended <- split.run() }()
	return <-ended
}

// Our starter holds the other end, and the kernel closes that with it.
func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pubsub:", err)
	os.Exit(1)
}
