package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

const (
	streamingPull     = "StreamingPull"
	modifyAckDeadline = "/google.pubsub.v1.Subscriber/ModifyAckDeadline"
)

// Passes every call on to a server, but for the faults that are set.
type proxy struct {
	upstream    *grpc.ClientConn
	address     string
	faults      *faults
	connections *connections
	rest        http.RoundTripper
}

// Serves a proxy to the server at an address.
func serveProxy(listener net.Listener, address string) error {
	// A server that is back is found at once.
	retry := backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}
	upstream, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxCallSendMsgSize(messageBytesMax),
		),
	)
	if err != nil {
		return err
	}
	p := &proxy{upstream, address, newFaults(), newConnections(), &http.Transport{}}
	rpc := grpc.NewServer(
		grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(p.call),
		grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxSendMsgSize(messageBytesMax),
	)
	paths := http.NewServeMux()
	paths.HandleFunc("/faults", p.faults.control)
	paths.HandleFunc("/", p.callOverHTTP)
	return both(p.connections.of(listener), rpc, paths)
}

// Messages as they are, undecoded.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, into any) error {
	*into.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

// Any call over gRPC.
func (p *proxy) call(_ any, client grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(client)
	method := path[strings.LastIndexByte(path, '/')+1:]
	p.faults.count(method)
	ctx := client.Context()
	if headers, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, headers)
	}
	if method == streamingPull {
		return p.stream(ctx, path, client)
	}
	var request []byte
	if err := client.RecvMsg(&request); err != nil {
		return err
	}
	var answer []byte
	fault, err := p.unary(ctx, method, func() error { return p.upstream.Invoke(ctx, path, &request, &answer) })
	if err != nil {
		return err
	}
	if fault != nil && fault.Action == cut {
		return p.cut(client, answer)
	}
	return client.SendMsg(&answer)
}

// One call and its answer, with the fault that has happened to it; of `cut` the caller has to see to the answer.
func (p *proxy) unary(ctx context.Context, method string, pass func() error) (*fault, error) {
	fault := p.faults.take(method, delay, drop, lose, refuse, cut)
	if fault == nil {
		return nil, pass()
	}
	switch fault.Action {
	case delay:
		if err := sleep(ctx, fault.wait()); err != nil {
			return fault, err
		}
		return fault, pass()
	case drop:
		<-ctx.Done()
		return fault, ctx.Err()
	case refuse:
		return fault, fault.error()
	case lose:
		if err := pass(); err != nil {
			return fault, err
		}
		if fault.Code != "" {
			return fault, fault.error()
		}
		<-ctx.Done()
		return fault, ctx.Err()
	default:
		return fault, pass()
	}
}

// A call of StreamingPull. Faults happen to its answers that bring messages, but `refuse` to the call and `end` at once.
func (p *proxy) stream(ctx context.Context, path string, client grpc.ServerStream) error {
	if fault := p.faults.take(streamingPull, refuse); fault != nil {
		return fault.error()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	server, err := p.upstream.NewStream(ctx, both, path)
	if err != nil {
		return err
	}
	subscription := make(chan string, 1)
	go passRequests(client, server, subscription)
	answers := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- readAnswers(ctx, server, answers) }()
	name := ""
	for {
		changed := p.faults.changes()
		if fault := p.faults.take(streamingPull, end); fault != nil {
			return fault.error()
		}
		select {
		case <-changed:
		case name = <-subscription:
		case err := <-ended:
			return err
		case answer := <-answers:
			if err := p.answer(ctx, client, name, answer); err != nil {
				return err
			}
		}
	}
}

func passRequests(client grpc.ServerStream, server grpc.ClientStream, subscription chan<- string) {
	first := true
	for {
		var request []byte
		if client.RecvMsg(&request) != nil {
			// The client has said all, or has gone, which ends the context.
			_ = server.CloseSend()
			return
		}
		if first {
			opening := &pb.StreamingPullRequest{}
			_ = proto.Unmarshal(request, opening)
			subscription <- opening.GetSubscription()
			first = false
		}
		if server.SendMsg(&request) != nil {
			return
		}
	}
}

func readAnswers(ctx context.Context, server grpc.ClientStream, answers chan<- []byte) error {
	for {
		var answer []byte
		if err := server.RecvMsg(&answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case answers <- answer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// One answer of a stream.
func (p *proxy) answer(ctx context.Context, client grpc.ServerStream, subscription string, answer []byte) error {
	decoded := &pb.StreamingPullResponse{}
	if err := proto.Unmarshal(answer, decoded); err != nil {
		return err
	}
	if len(decoded.GetReceivedMessages()) == 0 {
		return client.SendMsg(&answer)
	}
	fault := p.faults.take(streamingPull, delay, drop, cut, redeliver)
	if fault == nil {
		return client.SendMsg(&answer)
	}
	switch fault.Action {
	case drop:
		return nil
	case cut:
		return p.cut(client, answer)
	case delay:
		if err := sleep(ctx, fault.wait()); err != nil {
			return err
		}
		return client.SendMsg(&answer)
	default:
		if err := client.SendMsg(&answer); err != nil {
			return err
		}
		return p.redeliver(ctx, subscription, decoded)
	}
}

// Ends the server's leases of messages that the client has been given.
func (p *proxy) redeliver(ctx context.Context, subscription string, answer *pb.StreamingPullResponse) error {
	request := &pb.ModifyAckDeadlineRequest{Subscription: subscription}
	for _, message := range answer.GetReceivedMessages() {
		request.AckIds = append(request.AckIds, message.GetAckId())
	}
	encoded, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	var answered []byte
	return p.upstream.Invoke(ctx, modifyAckDeadline, &encoded, &answered)
}

// Sends half of an answer, and breaks the connection.
func (p *proxy) cut(client grpc.ServerStream, answer []byte) error {
	from, ok := peer.FromContext(client.Context())
	if !ok {
		return errors.New("a client without an address")
	}
	connection := p.connections.from(from.Addr)
	if connection == nil {
		return errors.New("the connection is gone already")
	}
	connection.cutIn(answer)
	err := client.SendMsg(&answer)
	<-client.Context().Done()
	return err
}

func sleep(ctx context.Context, for_ time.Duration) error {
	select {
	case <-time.After(for_):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
