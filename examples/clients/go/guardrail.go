// A client of guardrail's decision API (docs/api.md). A tool runs only where the service has admitted its call.

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var (
	// ErrNotStarted is what a tool answers that has not started: what it would have spent is given back.
	ErrNotStarted = errors.New("not started")
	// ErrRefused says that the service refuses the request itself, as with a wrong token. Asking again does not help.
	ErrRefused = errors.New("refused")
	// ErrUnavailable says that the service could not be asked for as long as we were patient.
	ErrUnavailable = errors.New("unavailable")
)

// Guardrail asks one service. Patience is for people, for a worker that runs the call, and for a service that is down.
type Guardrail struct {
	URL, Token string
	Patience   time.Duration
}

// Call is what somebody wants to do. Run and ID are its idempotency key: take them from what is to be done, not from
// when it is tried.
type Call struct {
	Run       string  `json:"run"`
	ID        string  `json:"call"`
	Agent     string  `json:"agent"`
	Principal string  `json:"principal"`
	Tool      any     `json:"tool"`
	Arguments any     `json:"arguments"`
	Attempt   string  `json:"attempt,omitempty"`
	Wait      float64 `json:"wait"`
}

// Standing is how a call stands. Only where State is `returned` is there a Result; otherwise Text says why not.
type Standing struct {
	State, Call, Text, Lease string
	Arguments, Result        json.RawMessage
	LeaseSeconds             float64 `json:"lease_seconds"`
	RetryAfter               float64 `json:"retry_after"`
	Repeated                 bool
	Error                    struct{ Message, Fix string }
}

// Tool runs with the arguments that were judged.
type Tool func(ctx context.Context, arguments json.RawMessage) (any, error)

type outcome map[string]any

const most = 30 * time.Second // that the service waits for people before it answers `waiting`

// Run runs a tool for a call, once, whoever asks for an equal call and however often.
func (g *Guardrail) Run(ctx context.Context, call Call, tool Tool) (Standing, error) {
	// A fresh word, kept nowhere: whoever says it again gets the same lease. After a crash nobody knows it, so
	// that a call which had been started reads `running`, then `unknown`, and is not run a second time.
	word := make([]byte, 16)
	if _, err := rand.Read(word); err != nil {
		return Standing{}, err
	}
	call.Attempt = hex.EncodeToString(word)
	until := time.Now().Add(g.Patience)
	standing, err := g.propose(ctx, call, until)
	if err != nil || standing.State != "admitted" {
		return standing, err
	}
	settled, err := g.settle(context.WithoutCancel(ctx), standing, g.perform(ctx, standing, tool))
	if err != nil || !settled.Repeated || settled.State != "returned" {
		return settled, err
	}
	// The end was known before, or seen too late: that answer holds no result, and the call's standing tells.
	call.Attempt = ""
	return g.propose(ctx, call, until)
}

func (g *Guardrail) propose(ctx context.Context, call Call, until time.Time) (Standing, error) {
	for {
		call.Wait = max(0, min(most, time.Until(until))).Seconds()
		standing, err := g.post(ctx, "/v1/calls", call, until)
		again := seconds(standing.RetryAfter)
		if err != nil || standing.State != "waiting" && standing.State != "running" || time.Until(until) < again {
			return standing, err // one that waits may be proposed again later
		}
		time.Sleep(again)
	}
}

// perform runs the tool under its lease, and says how that ended.
func (g *Guardrail) perform(ctx context.Context, admitted Standing, tool Tool) outcome {
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	every := seconds(max(1, admitted.LeaseSeconds/3))
	go func() {
		path, body := "/v1/calls/"+admitted.Call+"/lease", fmt.Appendf(nil, `{"lease": %q}`, admitted.Lease)
		for {
			select {
			case <-renewing.Done():
				return
			case <-time.After(every):
				asking, enough := context.WithTimeout(renewing, every)
				g.once(asking, path, body) // one that fails is no harm: the next may not
				enough()
			}
		}
	}()
	result, err := tool(ctx, admitted.Arguments)
	switch {
	case err == nil:
		return outcome{"lease": admitted.Lease, "how": "returned", "result": result}
	case errors.Is(err, ErrNotStarted):
		return outcome{"lease": admitted.Lease, "how": "did_not_run", "message": fmt.Sprintf("%.2000s", err)}
	default:
		return outcome{"lease": admitted.Lease, "how": "raised", "message": fmt.Sprintf("%.2000s", err)}
	}
}

// settle: the tool has ended, so this is said for as long as it takes, to a service that may have been started anew.
func (g *Guardrail) settle(ctx context.Context, admitted Standing, said outcome) (Standing, error) {
	path, until := "/v1/calls/"+admitted.Call+"/outcome", time.Now().Add(g.Patience)
	settled, err := g.post(ctx, path, said, until)
	if err != nil && !errors.Is(err, ErrUnavailable) && said["how"] == "returned" {
		said["result"] = "(the result cannot be passed on)" // too large, or no JSON
		return g.post(ctx, path, said, until)
	}
	return settled, err
}

// post asks until there is an answer. The same words again change nothing: that is what attempt and lease are for.
func (g *Guardrail) post(ctx context.Context, path string, body any, until time.Time) (Standing, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Standing{}, err
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		status, answer := g.once(ctx, path, text)
		said := strings.TrimSpace(fmt.Sprint(status, " ", answer.Error.Message, " ", answer.Error.Fix))
		switch {
		case status == 200 && answer.State != "":
			return answer, nil
		// 409: until the ledger has noticed that an instance died, another one may not settle its calls.
		case status >= 300 && status < 500 && status != 408 && status != 409 && status != 429:
			return Standing{}, fmt.Errorf("%w: %s", ErrRefused, said)
		case ctx.Err() != nil || time.Until(until) < pause:
			return Standing{}, fmt.Errorf("%w: %s: %s", ErrUnavailable, path, said)
		}
		time.Sleep(pause)
	}
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// once is one request; its status is 0 where nobody answered.
func (g *Guardrail) once(ctx context.Context, path string, body []byte) (status int, answer Standing) {
	ctx, stop := context.WithTimeout(ctx, most+15*time.Second)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, "POST", strings.TrimSuffix(g.URL, "/")+path, bytes.NewReader(body))
	if err == nil {
		request.Header = http.Header{"Authorization": {"Bearer " + g.Token}, "Content-Type": {"application/json"}}
		var response *http.Response
		if response, err = direct.Do(request); err == nil {
			defer response.Body.Close()
			status, err = response.StatusCode, json.NewDecoder(response.Body).Decode(&answer)
		}
	}
	if err != nil {
		answer = Standing{}
		answer.Error.Message = err.Error()
	}
	return status, answer
}
