package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Any call over HTTP/JSON. The faults of the method of the same meaning happen to it.
func (p *proxy) callOverHTTP(w http.ResponseWriter, r *http.Request) {
	method := methodOf(r)
	p.faults.count(method)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, messageBytesMax))
	if err != nil {
		refuseCall(w, status.Errorf(codes.InvalidArgument, "the body cannot be read: %v", err))
		return
	}
	var answer *http.Response
	var text []byte
	fault, err := p.unary(r.Context(), method, func() error {
		passed := r.Clone(r.Context())
		passed.URL.Scheme, passed.URL.Host, passed.RequestURI = "http", p.address, ""
		passed.Body = io.NopCloser(bytes.NewReader(body))
		passed.ContentLength = int64(len(body))
		if answer, err = p.rest.RoundTrip(passed); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		defer func() { _ = answer.Body.Close() }()
		if text, err = io.ReadAll(answer.Body); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		return nil
	})
	if err != nil {
		refuseCall(w, err)
		return
	}
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	if fault != nil && fault.Action == cut {
		// More than comes: the server breaks the connection.
		w.Header().Set("Content-Length", "1000000")
		text = text[:len(text)/2]
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(text)
}

// The method of gRPC that a call over HTTP/JSON stands for; of what is not known its last word.
func methodOf(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	if _, verb, found := strings.Cut(last, ":"); found && verb != "" {
		if verb == "detach" {
			return "DetachSubscription"
		}
		return strings.ToUpper(verb[:1]) + verb[1:]
	}
	kinds := map[string]string{"topics": "Topic", "subscriptions": "Subscription", "snapshots": "Snapshot"}
	if kind, found := kinds[last]; found {
		if len(parts) > 4 {
			return "ListTopic" + kind + "s"
		}
		return "List" + kind + "s"
	}
	kind := ""
	if len(parts) > 1 {
		kind = kinds[parts[len(parts)-2]]
	}
	verbs := map[string]string{"PUT": "Create", "GET": "Get", "PATCH": "Update", "DELETE": "Delete"}
	return verbs[r.Method] + kind
}
