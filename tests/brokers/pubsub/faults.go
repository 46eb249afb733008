package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What goes wrong.
const (
	// Passed on after Millis.
	delay = "delay"
	// Never passed on, never answered. In a stream: an answer that does not arrive.
	drop = "drop"
	// Passed on and applied, and then answered with Code, or never where there is none.
	lose = "lose"
	// Answered with Code at once, and not passed on.
	refuse = "refuse"
	// The connection breaks in the middle of an answer.
	cut = "cut"
	// An open stream ends with Code.
	end = "end"
	// A stream's messages arrive, and the server hands them out again under other ack ids.
	redeliver = "redeliver"
)

// A fault of one method, until it has happened often enough.
type fault struct {
	// As in Google's API, or * for all of them.
	Method string `json:"method"`
	Action string `json:"action"`
	// By its name in google/rpc/code.proto.
	Code   string `json:"code,omitempty"`
	Millis int64  `json:"millis,omitempty"`
	// How often it happens; 0: until it is taken away.
	Times int64 `json:"times,omitempty"`
	// How often it has happened.
	Happened int64 `json:"happened"`
}

func (f *fault) check() error {
	_, known := codeNames[f.Code]
	needsCode := f.Action == refuse || f.Action == end
	switch {
	case !slices.Contains([]string{delay, drop, lose, refuse, cut, end, redeliver}, f.Action):
		return fmt.Errorf("there is no action %q", f.Action)
	case f.Method == "":
		return fmt.Errorf("a fault names its method, or *")
	case !known && (needsCode || f.Code != ""):
		return fmt.Errorf("there is no code %q", f.Code)
	case f.Method != streamingPull && (f.Action == end || f.Action == redeliver):
		return fmt.Errorf("%s is for %s alone", f.Action, streamingPull)
	case f.Method == streamingPull && f.Action == lose:
		return fmt.Errorf("%s is not for %s", f.Action, streamingPull)
	}
	return nil
}

func (f *fault) error() error {
	return status.Errorf(codeNames[f.Code], "%s, as a fault has it", f.Code)
}

func (f *fault) wait() time.Duration { return time.Duration(f.Millis) * time.Millisecond }

// The faults that are set, and what has come by.
type faults struct {
	mu    sync.Mutex
	set   []*fault
	calls map[string]int64
	// Closed, and made anew, whenever faults are set or taken away.
	changed chan struct{}
}

func newFaults() *faults {
	return &faults{calls: map[string]int64{}, changed: make(chan struct{})}
}

func (f *faults) count(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
}

// The first fault that is set for the method and does one of these things; it has happened now. Nil where there is none.
func (f *faults) take(method string, actions ...string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.set {
		left := one.Times == 0 || one.Happened < one.Times
		if left && (one.Method == method || one.Method == "*") && slices.Contains(actions, one.Action) {
			one.Happened++
			taken := *one
			return &taken
		}
	}
	return nil
}

func (f *faults) changes() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// GET tells the faults and how often each method was called, POST sets one more, DELETE takes all away.
func (f *faults) control(w http.ResponseWriter, r *http.Request) {
	var more []*fault
	switch r.Method {
	case http.MethodGet, http.MethodDelete:
	case http.MethodPost:
		one := &fault{}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, messageBytesMax)).Decode(one); err != nil {
			refuseCall(w, status.Errorf(codes.InvalidArgument, "the body is no fault: %v", err))
			return
		}
		if err := one.check(); err != nil {
			refuseCall(w, status.Error(codes.InvalidArgument, err.Error()))
			return
		}
		more = append(more, one)
	default:
		refuseCall(w, status.Errorf(codes.Unimplemented, "%s of faults", r.Method))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodDelete {
		f.set = nil
	}
	f.set = append(f.set, more...)
	if r.Method != http.MethodGet {
		close(f.changed)
		f.changed = make(chan struct{})
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"faults": f.set, "calls": f.calls})
}
