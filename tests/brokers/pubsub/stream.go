package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// pstest hands a stream one message every 10 ms: so many streams of its serve those of our clients.
	lanes = 64
	// What a client that does not read is sent, beyond what the connection takes.
	unsentMax = 64
	// How often leases are looked through for those that have run out.
	sweepEvery = 100 * time.Millisecond
)

// All streams of one subscription. Messages go round among those that have room.
//
//	pstest ──▶ 64 lanes ──▶ hub ──▶ the clients' streams
type hub struct {
	name     string
	deadline int32
	service  *service
	// Ends with the last stream, and the lanes with it.
	context context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	streams []*stream
	next    int
	// Lanes that have room for a message and none yet.
	reserved int
	// Closed, and made anew, whenever there may be more room.
	freed chan struct{}
}

// A client's stream.
type stream struct {
	messagesMax, bytesMax int64
	deadline              int32
	answers               chan *pb.StreamingPullResponse
	// Why it ends, where that is not the client's doing.
	ended chan error

	// Guarded by the hub's mutex.
	leases map[string]*lease
	bytes  int64
}

// A message that the client has and has not settled.
type lease struct {
	bytes int64
	until time.Time
}

func (s *service) StreamingPull(client pb.Subscriber_StreamingPullServer) error {
	first, err := client.Recv()
	if err != nil {
		return err
	}
	name := first.GetSubscription()
	if _, err := s.GetSubscription(client.Context(), &pb.GetSubscriptionRequest{Subscription: name}); err != nil {
		return err
	}
	deadline := first.GetStreamAckDeadlineSeconds()
	if deadline < 10 || deadline > 600 {
		return status.Error(codes.InvalidArgument, "A stream's ack deadline is between 10 and 600 seconds.")
	}
	stream := &stream{
		messagesMax: first.GetMaxOutstandingMessages(),
		bytesMax:    first.GetMaxOutstandingBytes(),
		deadline:    deadline,
		answers:     make(chan *pb.StreamingPullResponse, unsentMax),
		ended:       make(chan error, 1),
		leases:      map[string]*lease{},
	}
	hub := s.join(name, stream)
	defer s.leave(hub, stream)
	received := make(chan error, 1)
	go func() { received <- s.receive(client, name, stream) }()
	for {
		select {
		case answer := <-stream.answers:
			if err := client.Send(answer); err != nil {
				hub.giveBack(answer)
				return err
			}
			hub.signal()
		case err := <-received:
			return err
		case err := <-stream.ended:
			return err
		}
	}
}

// What the client says on its stream, until it has said all.
func (s *service) receive(client pb.Subscriber_StreamingPullServer, name string, stream *stream) error {
	for {
		request, err := client.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(request.GetAckIds()) == 0 && len(request.GetModifyDeadlineAckIds()) == 0 {
			// A question whether we live, which waits for nobody.
			select {
			case stream.answers <- &pb.StreamingPullResponse{}:
			default:
			}
			continue
		}
		if len(request.GetModifyDeadlineAckIds()) != len(request.GetModifyDeadlineSeconds()) {
			return status.Error(codes.InvalidArgument, "Each ack id that is modified has its seconds.")
		}
		settled := &pb.AcknowledgeRequest{Subscription: name, AckIds: request.GetAckIds()}
		if _, err := s.Acknowledge(client.Context(), settled); err != nil {
			return err
		}
		for at, id := range request.GetModifyDeadlineAckIds() {
			modified := &pb.ModifyAckDeadlineRequest{
				Subscription: name, AckIds: []string{id}, AckDeadlineSeconds: request.GetModifyDeadlineSeconds()[at],
			}
			if _, err := s.ModifyAckDeadline(client.Context(), modified); err != nil {
				return err
			}
		}
	}
}

// The hub of a subscription; one without streams where nobody streams from it.
func (s *service) hubOf(name string) *hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.hubs[name]; found != nil {
		return found
	}
	return &hub{freed: make(chan struct{})}
}

func (s *service) join(name string, stream *stream) *hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	joined := s.hubs[name]
	if joined == nil {
		joined = &hub{name: name, deadline: stream.deadline, service: s, freed: make(chan struct{})}
		joined.context, joined.cancel = context.WithCancel(context.Background())
		s.hubs[name] = joined
		for range lanes {
			go joined.run()
		}
		go joined.sweep()
	}
	joined.mu.Lock()
	defer joined.mu.Unlock()
	joined.streams = append(joined.streams, stream)
	joined.signalLocked()
	return joined
}

func (s *service) leave(left *hub, gone *stream) {
	s.mu.Lock()
	left.mu.Lock()
	left.streams = slices.DeleteFunc(left.streams, func(other *stream) bool { return other == gone })
	if len(left.streams) == 0 {
		left.cancel()
		if s.hubs[left.name] == left {
			delete(s.hubs, left.name)
		}
	}
	left.mu.Unlock()
	s.mu.Unlock()
	for {
		select {
		case answer := <-gone.answers:
			left.giveBack(answer)
		default:
			return
		}
	}
}
