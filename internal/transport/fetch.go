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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

// maxBodies bounds the answers that a plugin receives in one call, in bytes: half the memory of an instance, which
// holds the bodies and what it makes of them.
const maxBodies = 64 << 20

// Fetch sends a batch, one request after another, and returns answers of any status.
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

// Exchange sends a request and reads the whole answer. A repeatable request is sent again if its answer breaks off.
// Otherwise an unreadable answer is a *NoResponseError, unless its status alone proves that the service rejected
// the request.
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
			return wit.Response{}, errorf(wit.ErrorData, "%s %s was answered %d, and the answer cannot be read: %v",
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

func tooLarge(r *wit.Request, limit int) error {
	if limit == maxBodies {
		return errorf(wit.ErrorData, "%s %s: expected at most %d MiB in an answer, found more", r.Method,
			PrintableTarget(r.Target), maxBodies>>20)
	}
	return errorf(wit.ErrorData, "%s %s: expected at most %d MiB in all the documents that the connector asks for "+
		"together, found more: those before this one came to %.1f MiB, and this one to more than what is left; a "+
		"connector that reads of fewer services asks for fewer", r.Method, PrintableTarget(r.Target), maxBodies>>20,
		float64(maxBodies-limit)/(1<<20))
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const pooledBufferSize = 4 << 20

// readAll reads at most one byte more than the limit.
func readAll(body io.Reader, limit int) ([]byte, error) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	_, err := b.ReadFrom(io.LimitReader(body, int64(limit)+1))
	read := bytes.Clone(b.Bytes())
	if b.Cap() <= pooledBufferSize {
		buffers.Put(b)
	}
	return read, err
}

// Fetcher sends the requests of plugins; [Client] implements it.
type Fetcher interface {
	Fetch(ctx context.Context, n wit.RequestBatch) ([]wit.Response, error)
}

// maxRounds bounds how often a function may return requests before its result.
const maxRounds = 20

// maxRequests bounds the requests of all rounds of a function.
const maxRequests = 10_000

// PauseIdle waits before a plugin that made no progress in n calls is called again: 100 ms, doubling up to 2 s;
// zero for n = 0, and at least atLeast.
func PauseIdle(ctx context.Context, n int, atLeast time.Duration) error {
	if n > 0 {
		atLeast = max(atLeast, min(100*time.Millisecond<<min(n-1, 10), 2*time.Second))
	}
	return pause.For(ctx, atLeast)
}

// CallWithFetch calls a plugin's function until it needs no more documents: at most 20 rounds, 10,000 requests and
// 64 MiB of answers. Rounds that only repeat earlier requests are slowed down.
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
			return errorf(wit.ErrorInternal, "expected the plugin to ask for at most %d documents, found %d",
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
			return errorf(wit.ErrorData, "expected at most %d MiB in all the documents that the connector asks for "+
				"together, found more; a connector that reads of fewer services asks for fewer", maxBodies>>20)
		}
		state = need.State
	}
	return errorf(wit.ErrorInternal, "the plugin still asks for documents after %d rounds", maxRounds)
}

// RequestBytes returns the memory that a plugin's request takes, in bytes.
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

// anyNew reports whether a request is not in seen, and adds all of them.
func anyNew(asked map[[sha256.Size]byte]bool, requests []wit.Request) (some bool) {
	for i := range requests {
		r := &requests[i]
		key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.Method, r.Target, r.Body))
		some = some || !asked[key]
		asked[key] = true
	}
	return some
}
