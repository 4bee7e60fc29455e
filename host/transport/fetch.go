package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

// maxBodies bounds the bodies that a plugin gets for what it needs to see, all together, and that of one answer
// that is read whole, in bytes: half of the memory that an instance has, which holds them and what is made of them.
const maxBodies = 64 << 20

// Fetch answers a need: one request after another, whatever the status of the answers.
func (c *Client) Fetch(ctx context.Context, n wit.RequestBatch) ([]wit.Response, error) {
	left := maxBodies
	answers := make([]wit.Response, 0, len(n.Requests))
	for i := range n.Requests {
		a, err := c.exchangeWhole(ctx, &n.Requests[i], left)
		if err != nil {
			return nil, err
		}
		left -= len(a.Body)
		answers = append(answers, a)
	}
	return answers, nil
}

// Exchange makes an exchange and reads the answer whole. An answer that breaks off is asked for again where the request
// is repeatable. Else one that cannot be read is a *NoAnswer, as in [Client.Do], unless its status says by itself that
// the service refused the request.
func (c *Client) Exchange(ctx context.Context, r *wit.Request) (wit.Response, error) {
	return c.exchangeWhole(ctx, r, maxBodies)
}

func (c *Client) exchangeWhole(ctx context.Context, r *wit.Request, limit int) (wit.Response, error) {
	for repeated := 0; ; repeated++ {
		a, err := c.Do(ctx, r)
		if err != nil {
			return wit.Response{}, err
		}
		body, err := readAll(a.Body, limit)
		a.Body.Close()
		if err == nil && len(body) > limit {
			err = tooLarge(r, limit)
		}
		if err == nil {
			a.Response.Body = body
			return a.Response, nil
		}
		if status := int(a.Status); !r.Repeatable && wit.IsRejection(a.Status) {
			return wit.Response{}, faultf(wit.ErrorData, "%s %s was answered %d, and the answer cannot be read: %v",
				r.Method, a.Target, status, err)
		} else if !r.Repeatable {
			return wit.Response{}, &NoResponseError{Method: r.Method, Target: a.Target, Status: status, Cause: err}
		}
		f, ok := errors.AsType[*wit.Error](err)
		if !ok || f.Kind != wit.ErrorTransient || repeated >= c.Retry().Times() {
			return wit.Response{}, err
		}
		if err := c.Retry().Wait(ctx, 0); err != nil {
			return wit.Response{}, err
		}
		c.counter.repeated.Add(1)
	}
}

// tooLarge is the fault of an answer of more bytes than the limit, which those before it may have lowered.
func tooLarge(r *wit.Request, limit int) error {
	if limit == maxBodies {
		return faultf(wit.ErrorData, "%s %s: expected at most %d MiB in an answer, found more", r.Method,
			PrintableTarget(r.Target), maxBodies>>20)
	}
	return faultf(wit.ErrorData, "%s %s: expected at most %d MiB in all the documents that the connector asks for "+
		"together, found more: those before this one came to %.1f MiB, and this one to more than what is left; a "+
		"connector that reads of fewer services asks for fewer", r.Method, PrintableTarget(r.Target), maxBodies>>20,
		float64(maxBodies-limit)/(1<<20))
}

// buffers are memory for bodies of which nobody knows how long they are: one that grows until all is there would be
// made several times over for each answer.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooledBuffer is how large such memory is kept, in bytes.
const maxPooledBuffer = 4 << 20

// readAll reads a body to its end, or one byte more than the limit.
func readAll(body io.Reader, limit int) ([]byte, error) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	_, err := b.ReadFrom(io.LimitReader(body, int64(limit)+1))
	read := bytes.Clone(b.Bytes())
	if b.Cap() <= maxPooledBuffer {
		buffers.Put(b)
	}
	return read, err
}

// Fetcher is what answers needs: a [Client].
type Fetcher interface {
	Fetch(ctx context.Context, n wit.RequestBatch) ([]wit.Response, error)
}

// maxRounds bounds how often a function may ask before it is done.
const maxRounds = 20

// maxRequests is how many requests a function may ask for in all its rounds: each is one to the service, whose answer
// may be empty.
const maxRequests = 10_000

// PauseIdle pauses before a plugin is asked once more that got nowhere in n tries: 100 ms, growing to 2 s, and not at all
// for 0; at least for `atLeast`.
func PauseIdle(ctx context.Context, n int, atLeast time.Duration) error {
	if n > 0 {
		atLeast = max(atLeast, min(100*time.Millisecond<<min(n-1, 10), 2*time.Second))
	}
	return pause.For(ctx, atLeast)
}

// CallWithFetch calls a function of a plugin that may need to see documents first, until it needs none: at most 20 rounds, 10,000
// requests and 64 MiB of answers in all. Rounds in which it asks for nothing that it has not asked for before are
// paced.
func CallWithFetch(ctx context.Context, f Fetcher, call func(state []byte, answers []wit.Response) (*wit.RequestBatch,
	error)) error {
	var state []byte
	var answers []wit.Response
	left := maxBodies
	asked := map[[sha256.Size]byte]bool{}
	idle, requests := 0, 0
	for range maxRounds + 1 {
		need, err := call(state, answers)
		if err != nil || need == nil {
			return err
		}
		if requests += len(need.Requests); requests > maxRequests {
			return faultf(wit.ErrorInternal, "expected the plugin to ask for at most %d documents, found %d",
				maxRequests, requests)
		}
		if idle++; anyNew(asked, need.Requests) {
			idle = 0
		} else if err := PauseIdle(ctx, idle, 0); err != nil {
			return err
		}
		if answers, err = f.Fetch(ctx, *need); err != nil {
			return err
		}
		for i := range answers {
			left -= len(answers[i].Body)
		}
		if left < 0 {
			return faultf(wit.ErrorData, "expected at most %d MiB in all the documents that the connector asks for "+
				"together, found more; a connector that reads of fewer services asks for fewer", maxBodies>>20)
		}
		state = need.State
	}
	return faultf(wit.ErrorInternal, "the plugin still asks for documents after %d rounds", maxRounds)
}

// RequestBytes is how many bytes a request of a plugin takes in memory, for what keeps several.
func RequestBytes(r *wit.Request) int64 {
	n := len(r.Body) + len(r.Tag) + len(r.Method) + len(r.Target)
	if r.TokenPath != nil {
		n += len(*r.TokenPath)
	}
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return int64(n)
}

// anyNew says whether a request is among these that is not among those that were asked for before, and adds them.
func anyNew(asked map[[sha256.Size]byte]bool, requests []wit.Request) (some bool) {
	for i := range requests {
		r := &requests[i]
		key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.Method, r.Target, r.Body))
		some = some || !asked[key]
		asked[key] = true
	}
	return some
}
