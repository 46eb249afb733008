package main

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// pstest, with the service's own limits and without what makes it hang, crash or crawl.
type service struct {
	*pstest.GServer

	mu sync.Mutex
	// Of each subscription that somebody streams from.
	hubs map[string]*hub
}

func newService() *service {
	fake := pstest.NewServer()
	fake.SetTimeNowFunc(increasing())
	// Its own listener is not needed: we serve what stands behind it.
	_ = fake.Close()
	return &service{GServer: &fake.GServer, hubs: map[string]*hub{}}
}

func (s *service) register(rpc *grpc.Server) {
	pb.RegisterPublisherServer(rpc, s)
	pb.RegisterSubscriberServer(rpc, s)
	pb.RegisterSchemaServiceServer(rpc, s)
}

// A clock that never tells the same time twice: pstest orders a key's messages by their times.
func increasing() func() time.Time {
	var last atomic.Int64
	began := time.Now()
	return func() time.Time {
		for {
			before := last.Load()
			now := max(int64(time.Since(began)), before+1)
			if last.CompareAndSwap(before, now) {
				return began.Add(time.Duration(now))
			}
		}
	}
}

// The documented limits of a publish request.
const (
	publishMessagesMax  = 1000
	publishBytesMax     = 10_000_000
	attributesMax       = 100
	attributeKeyMax     = 256
	attributeValueMax   = 1024
	orderingKeyBytesMax = 1024
)

var resourceName = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_.~+%]{2,254}$`)

func checkName(name string) error {
	own := name[strings.LastIndexByte(name, '/')+1:]
	if !resourceName.MatchString(own) || strings.HasPrefix(own, "goog") {
		return status.Errorf(codes.InvalidArgument, "Invalid resource name given (name=%s).", name)
	}
	return nil
}

func (s *service) CreateTopic(ctx context.Context, topic *pb.Topic) (*pb.Topic, error) {
	if err := checkName(topic.GetName()); err != nil {
		return nil, err
	}
	return s.GServer.CreateTopic(ctx, topic)
}

func (s *service) CreateSubscription(ctx context.Context, subscription *pb.Subscription) (*pb.Subscription, error) {
	if err := checkName(subscription.GetName()); err != nil {
		return nil, err
	}
	if subscription.AckDeadlineSeconds == 0 {
		subscription.AckDeadlineSeconds = 10
	}
	return s.GServer.CreateSubscription(ctx, subscription)
}

// pstest takes every name that begins like the project for one of it.
func (s *service) ListTopics(ctx context.Context, request *pb.ListTopicsRequest) (*pb.ListTopicsResponse, error) {
	request.Project = strings.TrimSuffix(request.GetProject(), "/") + "/"
	return s.GServer.ListTopics(ctx, request)
}

func (s *service) ListSubscriptions(ctx context.Context, request *pb.ListSubscriptionsRequest) (*pb.ListSubscriptionsResponse, error) {
	request.Project = strings.TrimSuffix(request.GetProject(), "/") + "/"
	return s.GServer.ListSubscriptions(ctx, request)
}

func (s *service) Publish(ctx context.Context, request *pb.PublishRequest) (*pb.PublishResponse, error) {
	if err := checkPublish(request); err != nil {
		return nil, err
	}
	return s.GServer.Publish(ctx, request)
}

func checkPublish(request *pb.PublishRequest) error {
	refused := func(reason string) error { return status.Error(codes.InvalidArgument, reason) }
	bytes := 0
	for _, message := range request.GetMessages() {
		bytes += len(message.GetData()) + len(message.GetOrderingKey())
		for key, value := range message.GetAttributes() {
			bytes += len(key) + len(value)
			if key == "" || len(key) > attributeKeyMax || len(value) > attributeValueMax || strings.HasPrefix(key, "goog") {
				return refused("One or more attributes have an invalid key or value.")
			}
		}
		switch {
		case len(message.GetData()) == 0 && len(message.GetAttributes()) == 0:
			return refused("One or more messages have neither data nor attributes.")
		case len(message.GetAttributes()) > attributesMax:
			return refused("One or more messages have too many attributes.")
		case len(message.GetOrderingKey()) > orderingKeyBytesMax:
			return refused("One or more messages have an ordering key that is too long.")
		}
	}
	switch messages := len(request.GetMessages()); {
	case messages == 0 || messages > publishMessagesMax:
		return refused("A request has 1 to 1000 messages.")
	case bytes > publishBytesMax:
		return refused("The request is larger than 10 MB.")
	}
	return nil
}

func (s *service) Acknowledge(ctx context.Context, request *pb.AcknowledgeRequest) (*emptypb.Empty, error) {
	answer, err := s.GServer.Acknowledge(ctx, request)
	if err == nil {
		s.hubOf(request.GetSubscription()).release(request.GetAckIds())
	}
	return answer, err
}

func (s *service) ModifyAckDeadline(ctx context.Context, request *pb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	if seconds := request.GetAckDeadlineSeconds(); seconds < 0 || seconds > 600 {
		return nil, status.Error(codes.InvalidArgument, "An ack deadline is between 0 and 600 seconds.")
	}
	answer, err := s.GServer.ModifyAckDeadline(ctx, request)
	if err == nil {
		hub := s.hubOf(request.GetSubscription())
		if request.GetAckDeadlineSeconds() == 0 {
			hub.release(request.GetAckIds())
		} else {
			hub.extend(request.GetAckIds(), seconds(request.GetAckDeadlineSeconds()))
		}
	}
	return answer, err
}

// Its streams end as those of the service do.
func (s *service) DeleteSubscription(ctx context.Context, request *pb.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	answer, err := s.GServer.DeleteSubscription(ctx, request)
	if err == nil {
		name := request.GetSubscription()
		hub := s.hubOf(name)
		s.mu.Lock()
		// The next one of its name gets a hub of its own.
		delete(s.hubs, name)
		s.mu.Unlock()
		hub.end(status.Errorf(codes.NotFound, "Resource not found (resource=%s).", name))
	}
	return answer, err
}

// Seeks to where nothing has been published yet, which drops what waits. pstest has no messages to hand out again, and
// dies of trying.
func (s *service) Seek(ctx context.Context, request *pb.SeekRequest) (*pb.SeekResponse, error) {
	to := request.GetTime()
	if to == nil || to.AsTime().Before(time.Now()) {
		return nil, status.Error(codes.Unimplemented, "only a Seek to a time that is still to come is modelled")
	}
	return s.GServer.Seek(ctx, request)
}

func seconds(number int32) time.Duration { return time.Duration(number) * time.Second }
