package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The service over HTTP/JSON, by its paths in Google's API. Google's admin clients for Rust speak nothing else.
func (s *service) admin() http.Handler {
	paths := http.NewServeMux()
	s.topicPaths(paths)
	s.subscriptionPaths(paths)
	paths.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuseCall(w, status.Errorf(codes.Unimplemented, "%s %s is not modelled", r.Method, r.URL.Path))
	})
	return paths
}

func (s *service) topicPaths(paths *http.ServeMux) {
	const topic = "/v1/projects/{project}/topics/{topic}"
	paths.HandleFunc("PUT "+topic, call(s.CreateTopic, func(r *http.Request, m *pb.Topic) {
		m.Name = topicName(r)
	}))
	paths.HandleFunc("PATCH "+topic, call(s.UpdateTopic, func(r *http.Request, m *pb.UpdateTopicRequest) {
		if m.Topic == nil {
			m.Topic = &pb.Topic{}
		}
		m.Topic.Name = topicName(r)
	}))
	paths.HandleFunc("GET "+topic, call(s.GetTopic, func(r *http.Request, m *pb.GetTopicRequest) {
		m.Topic = topicName(r)
	}))
	paths.HandleFunc("DELETE "+topic, call(s.DeleteTopic, func(r *http.Request, m *pb.DeleteTopicRequest) {
		m.Topic = topicName(r)
	}))
	paths.HandleFunc("GET /v1/projects/{project}/topics", call(s.ListTopics, func(r *http.Request, m *pb.ListTopicsRequest) {
		m.Project = projectName(r)
		m.PageSize, m.PageToken = page(r)
	}))
	paths.HandleFunc("GET "+topic+"/subscriptions", call(s.ListTopicSubscriptions, func(r *http.Request, m *pb.ListTopicSubscriptionsRequest) {
		m.Topic = topicName(r)
		m.PageSize, m.PageToken = page(r)
	}))
	paths.HandleFunc("POST "+topic, verbs("topic", map[string]http.HandlerFunc{
		"publish": call(s.Publish, func(r *http.Request, m *pb.PublishRequest) { m.Topic = topicName(r) }),
	}))
}

func (s *service) subscriptionPaths(paths *http.ServeMux) {
	const subscription = "/v1/projects/{project}/subscriptions/{subscription}"
	paths.HandleFunc("PUT "+subscription, call(s.CreateSubscription, func(r *http.Request, m *pb.Subscription) {
		m.Name = subscriptionName(r)
	}))
	paths.HandleFunc("PATCH "+subscription, call(s.UpdateSubscription, func(r *http.Request, m *pb.UpdateSubscriptionRequest) {
		if m.Subscription == nil {
			m.Subscription = &pb.Subscription{}
		}
		m.Subscription.Name = subscriptionName(r)
	}))
	paths.HandleFunc("GET "+subscription, call(s.GetSubscription, func(r *http.Request, m *pb.GetSubscriptionRequest) {
		m.Subscription = subscriptionName(r)
	}))
	paths.HandleFunc("DELETE "+subscription, call(s.DeleteSubscription, func(r *http.Request, m *pb.DeleteSubscriptionRequest) {
		m.Subscription = subscriptionName(r)
	}))
	paths.HandleFunc("GET /v1/projects/{project}/subscriptions", call(s.ListSubscriptions, func(r *http.Request, m *pb.ListSubscriptionsRequest) {
		m.Project = projectName(r)
		m.PageSize, m.PageToken = page(r)
	}))
	paths.HandleFunc("POST "+subscription, verbs("subscription", map[string]http.HandlerFunc{
		"pull": call(s.Pull, func(r *http.Request, m *pb.PullRequest) { m.Subscription = subscriptionName(r) }),
		"acknowledge": call(s.Acknowledge, func(r *http.Request, m *pb.AcknowledgeRequest) {
			m.Subscription = subscriptionName(r)
		}),
		"modifyAckDeadline": call(s.ModifyAckDeadline, func(r *http.Request, m *pb.ModifyAckDeadlineRequest) {
			m.Subscription = subscriptionName(r)
		}),
		"seek": call(s.Seek, func(r *http.Request, m *pb.SeekRequest) { m.Subscription = subscriptionName(r) }),
		"detach": call(s.DetachSubscription, func(r *http.Request, m *pb.DetachSubscriptionRequest) {
			m.Subscription = subscriptionName(r)
		}),
	}))
}

// The path's last segment is NAME:VERB, of which the name stays.
func verbs(segment string, of map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, verb, _ := strings.Cut(r.PathValue(segment), ":")
		handle, known := of[verb]
		if !known {
			refuseCall(w, status.Errorf(codes.Unimplemented, "%s is not modelled", r.URL.Path))
			return
		}
		r.SetPathValue(segment, name)
		handle(w, r)
	}
}

func projectName(r *http.Request) string { return "projects/" + r.PathValue("project") }
func topicName(r *http.Request) string   { return projectName(r) + "/topics/" + r.PathValue("topic") }
func subscriptionName(r *http.Request) string {
	return projectName(r) + "/subscriptions/" + r.PathValue("subscription")
}

func page(r *http.Request) (int32, string) {
	// What is no number is as good as none.
	size, _ := strconv.ParseInt(r.URL.Query().Get("pageSize"), 10, 32)
	return int32(size), r.URL.Query().Get("pageToken")
}

// A message of either kind, as a pointer to M.
type message[M any] interface {
	*M
	proto.Message
}

// A method of the service as a handler: the body is its request, less what the path says.
func call[Q, A any, Request message[Q], Answer message[A]](
	method func(context.Context, Request) (Answer, error),
	name func(*http.Request, Request),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, messageBytesMax))
		if err != nil {
			refuseCall(w, status.Errorf(codes.InvalidArgument, "the body cannot be read: %v", err))
			return
		}
		request := Request(new(Q))
		if len(body) > 0 {
			if err := protojson.Unmarshal(body, request); err != nil {
				refuseCall(w, status.Errorf(codes.InvalidArgument, "the body is no %T: %v", request, err))
				return
			}
		}
		name(r, request)
		answer, err := method(r.Context(), request)
		if err != nil {
			refuseCall(w, err)
			return
		}
		numbers := strings.Contains(r.URL.Query().Get("$alt"), "enum-encoding=int")
		write(w, http.StatusOK, protojson.MarshalOptions{UseEnumNumbers: numbers}, answer)
	}
}

func write(w http.ResponseWriter, code int, as protojson.MarshalOptions, answer proto.Message) {
	text, err := as.Marshal(answer)
	if err != nil {
		refuseCall(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	// A client that has gone need not be told.
	_, _ = w.Write(text)
}

// Google's form of an error.
func refuseCall(w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) {
		err = status.FromContextError(err).Err()
	}
	told := status.Convert(err)
	code := httpStatus(told.Code())
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"code": code, "message": told.Message(), "status": codeName(told.Code())},
	})
}

// As google/rpc/code.proto maps them.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return 499
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
