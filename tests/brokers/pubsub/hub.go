package main

import (
	"context"
	"io"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// One stream of pstest's. It is there only while some client's stream has room for what it would be given.
type lane struct {
	grpc.ServerStream
	hub   *hub
	begun bool
	// Whether there is room for it; guarded by the hub's mutex.
	reserved bool
}

// Runs a lane for as long as there is a client.
func (h *hub) run() {
	for {
		lane := &lane{hub: h}
		if h.reserve(lane) != nil {
			return
		}
		// It ends with us, or with its subscription.
		_ = h.service.GServer.StreamingPull(lane)
		h.unreserve(lane)
		select {
		case <-h.context.Done():
		case <-time.After(sweepEvery):
		}
	}
}

func (l *lane) Context() context.Context { return l.hub.context }

func (l *lane) Recv() (*pb.StreamingPullRequest, error) {
	if !l.begun {
		l.begun = true
		return &pb.StreamingPullRequest{Subscription: l.hub.name, StreamAckDeadlineSeconds: l.hub.deadline}, nil
	}
	<-l.hub.context.Done()
	return nil, io.EOF
}

// Passes a message on, and returns when there is room for another.
func (l *lane) Send(answer *pb.StreamingPullResponse) error {
	l.hub.place(l, answer)
	return l.hub.reserve(l)
}

// Waits until some stream has room for one more message than is on its way.
func (h *hub) reserve(for_ *lane) error {
	for {
		h.mu.Lock()
		room := -h.reserved
		for _, stream := range h.streams {
			room += stream.room()
		}
		if room > 0 {
			h.reserved++
			for_.reserved = true
			h.mu.Unlock()
			return h.context.Err()
		}
		freed := h.freed
		h.mu.Unlock()
		select {
		case <-freed:
		case <-h.context.Done():
			return h.context.Err()
		}
	}
}

func (h *hub) unreserve(of *lane) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unreserveLocked(of)
	h.signalLocked()
}

func (h *hub) unreserveLocked(of *lane) {
	if of.reserved {
		of.reserved = false
		h.reserved--
	}
}

// Gives a message to the next stream that has room, or back to pstest where none has any more.
func (h *hub) place(by *lane, answer *pb.StreamingPullResponse) {
	message := answer.GetReceivedMessages()[0]
	// pstest changes its own when it hands the message out again.
	answer.ReceivedMessages[0] = &pb.ReceivedMessage{
		AckId: message.GetAckId(), Message: message.GetMessage(), DeliveryAttempt: message.GetDeliveryAttempt(),
	}
	h.mu.Lock()
	h.unreserveLocked(by)
	chosen := h.choose()
	if chosen == nil {
		h.signalLocked()
		h.mu.Unlock()
		h.giveBack(answer)
		return
	}
	size := int64(proto.Size(message.GetMessage()))
	chosen.leases[message.GetAckId()] = &lease{size, time.Now().Add(seconds(chosen.deadline))}
	chosen.bytes += size
	// It has room for what is not sent yet.
	chosen.answers <- answer
	h.mu.Unlock()
	if chosen.deadline != h.deadline {
		_, _ = h.service.GServer.ModifyAckDeadline(h.context, &pb.ModifyAckDeadlineRequest{
			Subscription: h.name, AckIds: []string{message.GetAckId()}, AckDeadlineSeconds: chosen.deadline,
		})
	}
}

func (h *hub) choose() *stream {
	for range h.streams {
		h.next = (h.next + 1) % len(h.streams)
		if stream := h.streams[h.next]; stream.room() > 0 {
			return stream
		}
	}
	return nil
}

// How many messages more its client has asked for, and may be sent now. A bound of 0 is none.
func (s *stream) room() int {
	room := unsentMax - len(s.answers)
	if s.messagesMax > 0 {
		room = min(room, int(s.messagesMax)-len(s.leases))
	}
	if s.bytesMax > 0 && s.bytes >= s.bytesMax {
		room = 0
	}
	return max(room, 0)
}

// Has pstest hand out again what no client was told of.
func (h *hub) giveBack(answer *pb.StreamingPullResponse) {
	for _, message := range answer.GetReceivedMessages() {
		// Where the subscription is gone, so is the message.
		_, _ = h.service.ModifyAckDeadline(context.Background(), &pb.ModifyAckDeadlineRequest{
			Subscription: h.name, AckIds: []string{message.GetAckId()},
		})
	}
}

func (h *hub) release(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range h.streams {
		for _, id := range ids {
			stream.release(id)
		}
	}
	h.signalLocked()
}

func (s *stream) release(id string) {
	if lease := s.leases[id]; lease != nil {
		s.bytes -= lease.bytes
		delete(s.leases, id)
	}
}

func (h *hub) extend(ids []string, by time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range h.streams {
		for _, id := range ids {
			if lease := stream.leases[id]; lease != nil {
				lease.until = time.Now().Add(by)
			}
		}
	}
}

// Ends every stream.
func (h *hub) end(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range h.streams {
		select {
		case stream.ended <- why:
		default:
		}
	}
}

// Forgets leases that have run out, until the last stream ends.
func (h *hub) sweep() {
	ticks := time.NewTicker(sweepEvery)
	defer ticks.Stop()
	for {
		select {
		case <-h.context.Done():
			return
		case now := <-ticks.C:
			h.mu.Lock()
			for _, stream := range h.streams {
				for id, lease := range stream.leases {
					if now.After(lease.until) {
						stream.release(id)
					}
				}
			}
			h.signalLocked()
			h.mu.Unlock()
		}
	}
}

func (h *hub) signal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signalLocked()
}

// There may be more room now.
func (h *hub) signalLocked() {
	close(h.freed)
	h.freed = make(chan struct{})
}
