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

// maxBodies bounds the answers that a plugin receives in one call, in bytes: half the memory of an instance.
const maxBodies = 64 << 20

// Fetch sends a batch, one request after another, and returns answers of any status.
func (c *Client) Fetch(ctx context.Context, batch wit.RequestBatch) ([]wit.Response, error) {
	remaining := maxBodies
	answers := make([]wit.Response, 0, len(batch.Requests))
	for i := range batch.Requests {
		a, err := c.exchangeWhole(ctx, &batch.Requests[i], remaining)
		if err != nil {
			return nil, err
		}
		remaining -= len(a.Body)
		answers = append(answers, a)
	}
	return answers, nil
}

// Exchange sends a request and reads the whole answer. A repeatable request is repeated if its answer is truncated.
// Otherwise an unreadable answer is a *NoResponseError, unless its status proves that the service rejected the request.
func (c *Client) Exchange(ctx context.Context, r *wit.Request) (wit.Response, error) {
	return c.exchangeWhole(ctx, r, maxBodies)
}

// exchangeWhole is Exchange with another limit of the body, in bytes.
func (c *Client) exchangeWhole(ctx context.Context, r *wit.Request, limit int) (wit.Response, error) {
	for retries := 0; ; retries++ {
		answer, err := c.Do(ctx, r)
		if err != nil {
			return wit.Response{}, err
		}
		body, err := readAll(answer.Body, limit)
		answer.Body.Close()
		if err == nil && len(body) > limit {
			err = tooLarge(r, limit)
		}
		if err == nil {
			answer.Response.Body = body
			return answer.Response, nil
		}
		status := int(answer.Status)
		switch {
		case !r.Repeatable && wit.IsRejection(answer.Status):
			return wit.Response{}, errorf(wit.ErrorData, "%s %s: the response with status %d cannot be read: %v",
				r.Method, answer.Target, status, err)
		case !r.Repeatable:
			return wit.Response{}, &NoResponseError{Method: r.Method, Target: answer.Target, Status: status, Cause: err}
		}
		f, ok := errors.AsType[*wit.Error](err)
		if !ok || f.Kind != wit.ErrorTransient || retries >= c.Retry().Times() {
			return wit.Response{}, err
		}
		if err := c.Retry().Wait(ctx, 0); err != nil {
			return wit.Response{}, err
		}
		c.counter.repeated.Add(1)
	}
}

// tooLarge returns the error of an answer of more than limit bytes, which earlier answers may have reduced.
func tooLarge(r *wit.Request, limit int) error {
	if limit == maxBodies {
		return errorf(wit.ErrorData, "%s %s: expected at most %d MiB in a response, found more", r.Method,
			PrintableTarget(r.Target), maxBodies>>20)
	}
	return errorf(wit.ErrorData, "%s %s: expected at most %d MiB in all documents that the connector requests "+
		"together, found more: the documents before this one have %.1f MiB; configure fewer services for this "+
		"connector", r.Method, PrintableTarget(r.Target), maxBodies>>20, float64(maxBodies-limit)/(1<<20))
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const pooledBufferSize = 4 << 20 // larger buffers are not kept

// readAll reads limit+1 bytes at most, so that callers notice a body that is longer than limit.
func readAll(body io.Reader, limit int) ([]byte, error) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	_, err := b.ReadFrom(io.LimitReader(body, int64(limit)+1))
	content := bytes.Clone(b.Bytes())
	if b.Cap() <= pooledBufferSize {
		buffers.Put(b)
	}
	return content, err
}

// Fetcher sends the requests of plugins; [Client] implements it.
type Fetcher interface {
	Fetch(ctx context.Context, batch wit.RequestBatch) ([]wit.Response, error)
}

// maxRounds bounds how often a function may return requests before its result, maxRequests their total number.
const maxRounds, maxRequests = 20, 10_000

// PauseIdle waits before a plugin without progress in n calls is called again: 100 ms to 2 s, or atLeast.
func PauseIdle(ctx context.Context, n int, atLeast time.Duration) error {
	if n > 0 {
		atLeast = max(atLeast, min(100*time.Millisecond<<min(n-1, 10), 2*time.Second))
	}
	return pause.For(ctx, atLeast)
}

// pluginCall calls a function of a plugin with its state and answers. Without requests the function has its result.
type pluginCall = func(state []byte, answers []wit.Response) (*wit.RequestBatch, error)

// CallWithFetch calls a plugin's function until it needs no more documents: at most 20 rounds, 10,000 requests and 64
// MiB of answers. Rounds with only repeated requests are slowed down.
func CallWithFetch(ctx context.Context, fetcher Fetcher, call pluginCall) error {
	var state []byte
	var answers []wit.Response
	remaining := maxBodies
	seen := map[[sha256.Size]byte]bool{} // digests of requests
	var idleRounds, requests int
	for range maxRounds + 1 { // the last call must return the result
		batch, err := call(state, answers)
		if err != nil || batch == nil {
			return err
		}
		requests += len(batch.Requests)
		if requests > maxRequests {
			return errorf(wit.ErrorInternal, "expected at most %d requests of the plugin, found %d", maxRequests,
				requests)
		}
		// A round that only repeats earlier requests waits.
		idleRounds++
		var hasNew bool
		for i := range batch.Requests {
			r := &batch.Requests[i]
			digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.Method, r.Target, r.Body))
			hasNew = hasNew || !seen[digest]
			seen[digest] = true
		}
		if hasNew {
			idleRounds = 0
		} else if err := PauseIdle(ctx, idleRounds, 0); err != nil {
			return err
		}
		if answers, err = fetcher.Fetch(ctx, *batch); err != nil {
			return err
		}
		for i := range answers {
			remaining -= len(answers[i].Body)
		}
		if remaining < 0 {
			return errorf(wit.ErrorData, "expected at most %d MiB in all documents that the connector requests "+
				"together, found more; configure fewer services for this connector", maxBodies>>20)
		}
		state = batch.State
	}
	return errorf(wit.ErrorInternal, "the plugin still requests documents after %d rounds", maxRounds)
}

// RequestBytes returns the memory of a plugin's request, in bytes.
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
