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
	"github.com/culvert-project/culvert/internal/kafka/wire"
)

// relay connects one client with a broker. Responses have the order of requests.
type relay struct {
	tunnel   *Tunnel
	client   net.Conn
	requests *bufio.Reader // of the client
	broker   *wire.Conn
	address  string

	// pending are requests without a response.
	pending    chan pendingAnswer
	unanswered atomic.Int64
	// writeLock is held during a request to the broker, or a renewed logon.
	writeLock       sync.Mutex
	answersEnded    chan struct{} // closed after the last response
	lastCorrelation int32         // correlation id of the tunnel's last request
	buffer          []byte
}

type pendingAnswer struct {
	key         int16
	version     int16
	correlation int32
	reply       chan<- []byte // for requests of the tunnel itself
}

func newRelay(t *Tunnel, client, broker net.Conn, address string) *relay {
	return &relay{tunnel: t, client: client, requests: bufio.NewReaderSize(client, bufferSize),
		broker: wire.New(broker), address: address,
		pending: make(chan pendingAnswer, 256), answersEnded: make(chan struct{})}
}

// run relays until a side closes (nil), a message cannot be relayed, or ctx ends.
func (r *relay) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.drain)
	defer stop()
	var fromClient error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(r.tunnel.log, "tunnel, requests of a connection", &fromClient,
			func(*guard.PanicError) { r.broker.Close() })
		fromClient = r.passRequests()
		if ctx.Err() == nil {
			// The client has closed the connection: responses are useless.
			r.broker.Close()
		}
	}()
	fromBroker := guard.Do(r.tunnel.log, "tunnel, answers of a connection", r.passAnswers)
	close(r.answersEnded)
	r.client.Close()
	r.broker.Close()
	<-done
	return errors.Join(ignoreClosed(fromClient), ignoreClosed(fromBroker))
}

func (r *relay) drain() {
	r.client.SetReadDeadline(time.Now())
	deadline := time.NewTimer(drainTime)
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for r.unanswered.Load() > 0 {
		select {
		case <-r.answersEnded:
			return
		case <-deadline.C:
			r.broker.Close()
			return
		case <-look.C:
		}
	}
	r.broker.Close()
}

func ignoreClosed(err error) error {
	var broken net.Error
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &broken) {
		return nil
	}
	return err
}

func (r *relay) passRequests() error {
	for {
		h, err := peekRequest(r.requests)
		if err != nil {
			return err
		}
		switch {
		case h.key == keyApiVersions && h.version > newestVersion(h.key):
			if err := r.refuseVersions(h); err != nil {
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
		answered := true
		if h.key == keyProduce {
			if answered, err = expectsResponse(r.requests, h); err != nil {
				return err
			}
		}
		r.writeLock.Lock()
		if answered {
			r.expect(pendingAnswer{key: h.key, version: h.version, correlation: h.correlation})
		}
		err = copyBytes(r.broker.Conn, r.client, r.requests, int64(h.size)+4)
		r.writeLock.Unlock()
		if err != nil {
			return err
		}
	}
}

// copyBytes copies n bytes, of which some may be buffered. Between TCP connections the kernel copies.
func copyBytes(to, from net.Conn, buffered *bufio.Reader, n int64) error {
	out, ok := to.(*net.TCPConn)
	in, plain := from.(*net.TCPConn)
	for n > 0 {
		size := min(n, int64(buffered.Size()))
		if plain {
			if buffered.Buffered() == 0 {
				if ok && n >= minSplice {
					return splice(out, in, n)
				}
				if _, err := buffered.Peek(1); err != nil {
					return err
				}
			}
			size = min(n, int64(buffered.Buffered()))
		}
		piece, err := buffered.Peek(int(size))
		if _, failed := to.Write(piece); failed != nil {
			return failed
		}
		buffered.Discard(len(piece))
		n -= int64(len(piece))
		if err != nil {
			return err
		}
	}
	return nil
}

// minSplice is the number of bytes for which splice is worth its system calls.
const minSplice = 32 << 10

func splice(to, from *net.TCPConn, n int64) error {
	passed, err := to.ReadFrom(&io.LimitedReader{R: from, N: n})
	if err == nil && passed < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *relay) expect(a pendingAnswer) {
	r.unanswered.Add(1)
	select {
	case r.pending <- a:
	case <-r.answersEnded:
	}
}

// refuseVersions responds to an unknown version of ApiVersions like an older broker: error 35 in version 0, with the
// supported versions.
func (r *relay) refuseVersions(h requestHead) error {
	if r.unanswered.Load() > 0 {
		return fmt.Errorf("the client sent ApiVersions in the unknown version %d while responses were pending",
			h.version)
	}
	if _, err := r.requests.Discard(int(h.size) + 4); err != nil {
		return err
	}
	answer := kmsg.NewPtrApiVersionsResponse()
	answer.ErrorCode = errUnsupportedVersion
	supported := kmsg.NewApiVersionsResponseApiKey()
	supported.MaxVersion = newestVersion(keyApiVersions)
	supported.ApiKey = keyApiVersions
	answer.ApiKeys = append(answer.ApiKeys, supported)
	frame := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(h.correlation))
	_, err := r.client.Write(setFrameLength(answer.AppendTo(frame)))
	return err
}

func (r *relay) passAnswers() error {
	for {
		size, correlation, err := wire.PeekResponse(r.broker.Responses)
		if err != nil {
			return err
		}
		var request pendingAnswer
		select {
		case request = <-r.pending:
		default:
			return fmt.Errorf("the broker sent a response without a request (correlation id %d)", correlation)
		}
		if request.correlation != correlation {
			return fmt.Errorf("the broker responded out of order: expected correlation id %d (%s), found %d",
				request.correlation, kmsg.NameForKey(request.key), correlation)
		}
		switch {
		case request.reply != nil:
			frame := make([]byte, size+4)
			if _, err = io.ReadFull(r.broker.Responses, frame); err == nil {
				request.reply <- frame[8:]
			}
		case carriesAddress(request.key, request.version) && (size <= maxRewritten || !mayPassUnchanged(request.key)):
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

// maxRewritten bounds a decoded response. A broker's fetch limit is 55 MiB (fetch.max.bytes), except for a larger
// record.
const maxRewritten = 128 << 20

func (r *relay) passRewritten(request pendingAnswer, size int32) error {
	if size > maxRewritten {
		return fmt.Errorf("a response to %s of %d bytes: expected at most %d", kmsg.NameForKey(request.key), size,
			maxRewritten)
	}
	total := int(size) + 4
	if cap(r.buffer) < total || (cap(r.buffer) > 8<<20 && total < 1<<20) {
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
