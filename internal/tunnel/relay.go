package tunnel

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// relay connects one client with a broker. Responses have the order of requests.
type relay struct {
	tunnel   *Tunnel
	client   net.Conn
	requests *bufio.Reader // of the client
	broker   *security.Conn
	address  string

	pending         chan pendingRequest // requests without a response
	unanswered      atomic.Int64        // number of requests whose response was not relayed completely
	writeLock       sync.Mutex          // held during a request to the broker, or a renewed logon
	responsesEnded  chan struct{}       // closed after the last response
	lastCorrelation int32               // correlation id of the tunnel's last request
	buffer          []byte              // of rewritten responses
}

// pendingRequest is a request whose response is expected.
type pendingRequest struct {
	key         int16
	version     int16
	correlation int32
	response    chan<- []byte // receives the body, for a request of the tunnel itself; else nil
}

func newRelay(t *Tunnel, client, broker net.Conn, address string) *relay {
	const maxPending = 256 // further requests wait for responses
	return &relay{
		tunnel: t, client: client, requests: bufio.NewReaderSize(client, bufferSize), broker: security.NewConn(broker),
		address: address, pending: make(chan pendingRequest, maxPending), responsesEnded: make(chan struct{}),
	}
}

// run relays until a side closes (nil), a message cannot be relayed, or ctx ends.
func (r *relay) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.drain)
	defer stop()
	var clientErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(r.tunnel.log, "tunnel, requests of a connection", &clientErr,
			func(*guard.PanicError) { r.broker.Close() })
		clientErr = r.passRequests()
		if ctx.Err() == nil {
			// The client has closed the connection: nobody waits for responses.
			r.broker.Close()
		}
	}()
	brokerErr := guard.Do(r.tunnel.log, "tunnel, answers of a connection", r.passResponses)
	close(r.responsesEnded)
	r.client.Close()
	r.broker.Close()
	<-done
	return errors.Join(ignoreClosed(clientErr), ignoreClosed(brokerErr))
}

// drain accepts no more requests, and closes the broker's connection after pending responses or drainTime.
func (r *relay) drain() {
	r.client.SetReadDeadline(time.Now())
	deadline := time.NewTimer(drainTime)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for r.unanswered.Load() > 0 {
		select {
		case <-r.responsesEnded:
			return
		case <-deadline.C:
			r.broker.Close()
			return
		case <-ticker.C:
			// check again
		}
	}
	r.broker.Close()
}

// ignoreClosed returns nil for errors of a connection that was closed or lost.
func ignoreClosed(err error) error {
	var netErr net.Error
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &netErr) {
		return nil
	}
	return err
}

// passRequests relays requests until the client's connection ends.
func (r *relay) passRequests() error {
	for {
		h, err := peekRequest(r.requests)
		if err != nil {
			return err
		}
		switch {
		case h.key == keyApiVersions && h.version > newestVersion(h.key):
			// An unknown version of ApiVersions gets the response of an older broker, with the supported versions.
			if r.unanswered.Load() > 0 {
				return fmt.Errorf("the client sent ApiVersions in the unknown version %d while responses were pending",
					h.version)
			}
			if _, err := r.requests.Discard(int(h.size) + 4); err != nil {
				return err
			}
			response := kmsg.NewPtrApiVersionsResponse()
			response.ErrorCode = errUnsupportedVersion
			supported := kmsg.NewApiVersionsResponseApiKey()
			supported.MaxVersion = newestVersion(keyApiVersions)
			supported.ApiKey = keyApiVersions
			response.ApiKeys = append(response.ApiKeys, supported)
			frame := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(h.correlation))
			if _, err := r.client.Write(setFrameLength(response.AppendTo(frame))); err != nil {
				return err
			}
			continue
		case h.key == keySASLHandshake && h.version == 0:
			return errors.New("the client logs on as in Kafka 0.10 (SaslHandshake version 0), which is not " +
				"supported: expected version 1 or later")
		case h.version > newestVersion(h.key):
			return fmt.Errorf("the client sent request %d (%s) in version %d, which was not offered", h.key,
				kmsg.NameForKey(h.key), h.version)
		}
		// Relay it. Only a produce request may have no response.
		hasResponse := true
		if h.key == keyProduce {
			if hasResponse, err = expectsResponse(r.requests, h); err != nil {
				return err
			}
		}
		r.writeLock.Lock()
		if hasResponse {
			r.expect(pendingRequest{key: h.key, version: h.version, correlation: h.correlation})
		}
		err = copyBytes(r.broker.Conn, r.client, r.requests, int64(h.size)+4)
		r.writeLock.Unlock()
		if err != nil {
			return err
		}
	}
}

// copyBytes copies n bytes that buffered, the reader of from, returns next. Between TCP connections the kernel copies
// large messages. Before an error it copies the bytes that it has read.
func copyBytes(to, from net.Conn, buffered *bufio.Reader, n int64) error {
	toTCP, toIsTCP := to.(*net.TCPConn)
	fromTCP, fromIsTCP := from.(*net.TCPConn)
	for n > 0 {
		size := min(n, int64(buffered.Size()))
		if fromIsTCP { // first what is buffered, so that the kernel can copy the rest
			if buffered.Buffered() == 0 {
				if toIsTCP && n >= minSplice {
					copied, err := toTCP.ReadFrom(&io.LimitedReader{R: fromTCP, N: n})
					if err == nil && copied < n {
						err = io.ErrUnexpectedEOF
					}
					return err
				}
				if _, err := buffered.Peek(1); err != nil {
					return err
				}
			}
			size = min(n, int64(buffered.Buffered()))
		}
		chunk, readErr := buffered.Peek(int(size))
		if _, err := to.Write(chunk); err != nil {
			return err
		}
		buffered.Discard(len(chunk))
		n -= int64(len(chunk))
		if readErr != nil {
			return readErr
		}
	}
	return nil
}

// minSplice is the number of bytes for which splice is worth its system calls.
const minSplice = 32 << 10

// expect adds a request whose response will follow. It blocks while too many requests are pending.
func (r *relay) expect(request pendingRequest) {
	r.unanswered.Add(1)
	select {
	case r.pending <- request:
	case <-r.responsesEnded:
	}
}

// passResponses relays responses until the broker's connection ends.
func (r *relay) passResponses() error {
	for {
		size, correlation, err := security.PeekResponse(r.broker.Responses)
		if err != nil {
			return err
		}
		var request pendingRequest
		select {
		case request = <-r.pending:
		default:
			return fmt.Errorf("the broker sent a response without a request (correlation id %d)", correlation)
		}
		if request.correlation != correlation {
			return fmt.Errorf("the broker responded out of order: expected correlation id %d (%s), found %d",
				request.correlation, kmsg.NameForKey(request.key), correlation)
		}
		// Addresses are only hints in these: a response that is too large for rewriting passes.
		hasOnlyHints := request.key == keyFetch || request.key == keyShareFetch
		switch {
		case request.response != nil:
			frame := make([]byte, size+4)
			if _, err = io.ReadFull(r.broker.Responses, frame); err == nil {
				request.response <- frame[8:]
			}
		case carriesAddress(request.key, request.version) && (size <= maxRewritten || !hasOnlyHints):
			err = r.passRewritten(request, size)
		default:
			err = copyBytes(r.client, r.broker.Conn, r.broker.Responses, int64(size)+4)
		}
		r.unanswered.Add(-1)
		if err != nil {
			return err
		}
	}
}

// maxRewritten bounds a decoded response. A broker's limit is 55 MiB (fetch.max.bytes), except for a larger record.
const maxRewritten = 128 << 20

// passRewritten relays a response with local addresses.
func (r *relay) passRewritten(request pendingRequest, size int32) error {
	if size > maxRewritten {
		return fmt.Errorf("a response to %s of %d bytes: expected at most %d", kmsg.NameForKey(request.key), size,
			maxRewritten)
	}
	total := int(size) + 4
	if cap(r.buffer) < total || (cap(r.buffer) > 8<<20 && total < 1<<20) { // too small, or much too large
		r.buffer = make([]byte, total)
	}
	frame := r.buffer[:total]
	if _, err := io.ReadFull(r.broker.Responses, frame); err != nil {
		return err
	}
	frame, err := r.rewrite(request, frame)
	if err != nil {
		return fmt.Errorf("a response to %s version %d of %s: %w", kmsg.NameForKey(request.key), request.version,
			r.address, err)
	}
	_, err = r.client.Write(frame)
	return err
}
