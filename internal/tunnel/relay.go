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

// relay connects one client with a broker.
type relay struct {
	tunnel   *Tunnel
	client   net.Conn
	requests *bufio.Reader // of the client
	broker   *wire.Conn
	address  string

	// pending are unanswered requests in order, as the broker answers them.
	pending    chan pendingAnswer
	unanswered atomic.Int64
	// writing is held for each request to the broker, and while a logon is renewed.
	writing sync.Mutex
	ended   chan struct{} // closed when no more answers come
	next    int32         // correlation of our own requests
	buffer  []byte
}

type pendingAnswer struct {
	key, version int16
	correlation  int32
	reply        chan<- []byte // gets the answer of a request of ours
}

func newRelay(t *Tunnel, client, broker net.Conn, address string) *relay {
	return &relay{tunnel: t, client: client, requests: bufio.NewReaderSize(client, bufferSize),
		broker: wire.New(broker), address: address,
		pending: make(chan pendingAnswer, 256), ended: make(chan struct{})}
}

// run relays until a side ends (nil), a message cannot be relayed, or ctx ends.
func (r *relay) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.drain)
	defer stop()
	var fromClient error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(r.tunnel.log, "tunnel, requests of a connection", &fromClient,
			func(*guard.Panic) { r.broker.Close() })
		if fromClient = r.passRequests(); ctx.Err() == nil {
			// A client that has left does not wait for answers.
			r.broker.Close()
		}
	}()
	fromBroker := guard.Do(r.tunnel.log, "tunnel, answers of a connection", r.passAnswers)
	close(r.ended)
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
		case <-r.ended:
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
		case h.key == keyApiVersions && h.version > newest(h.key):
			if err := r.refuseVersions(h); err != nil {
				return err
			}
			continue
		case h.key == keySASLHandshake && h.version == 0:
			return errors.New("the client logs on in the way of Kafka 0.10 (SaslHandshake 0), which cannot be passed " +
				"on: expected version 1 or later")
		case h.version > newest(h.key):
			return fmt.Errorf("the client sent request %d (%s) in version %d, which was not offered", h.key,
				kmsg.NameForKey(h.key), h.version)
		}
		answered := true
		if h.key == keyProduce {
			if answered, err = wantsAnswer(r.requests, h); err != nil {
				return err
			}
		}
		r.writing.Lock()
		if answered {
			r.expect(pendingAnswer{key: h.key, version: h.version, correlation: h.correlation})
		}
		err = copyBytes(r.broker.Conn, r.client, r.requests, int64(h.size)+4)
		r.writing.Unlock()
		if err != nil {
			return err
		}
	}
}

// copyBytes copies n bytes, some of which are buffered. The kernel copies between plain TCP connections; otherwise
// pieces have the buffer's size, since TLS returns 16 KiB at most.
func copyBytes(to, from net.Conn, buffered *bufio.Reader, n int64) error {
	out, ok := to.(*net.TCPConn)
	in, plain := from.(*net.TCPConn)
	for n > 0 {
		size := min(n, int64(buffered.Size()))
		if plain { // which hands out all that there is
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
		if n -= int64(len(piece)); err != nil {
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
	case <-r.ended:
	}
}

// refuseVersions answers an ApiVersions request of an unknown version as an older broker does: error 35 in version
// 0, with the supported versions.
func (r *relay) refuseVersions(h requestHead) error {
	if r.unanswered.Load() > 0 {
		return fmt.Errorf("the client asked for versions in the unknown version %d while answers were due", h.version)
	}
	if _, err := r.requests.Discard(int(h.size) + 4); err != nil {
		return err
	}
	answer := kmsg.NewPtrApiVersionsResponse()
	answer.ErrorCode = errUnsupportedVersion
	known := kmsg.NewApiVersionsResponseApiKey()
	known.ApiKey, known.MaxVersion = keyApiVersions, newest(keyApiVersions)
	answer.ApiKeys = append(answer.ApiKeys, known)
	frame := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(h.correlation))
	_, err := r.client.Write(sized(answer.AppendTo(frame)))
	return err
}

func (r *relay) passAnswers() error {
	for {
		size, correlation, err := wire.PeekResponse(r.broker.Responses)
		if err != nil {
			return err
		}
		var a pendingAnswer
		select {
		case a = <-r.pending:
		default:
			return fmt.Errorf("the broker answered what nobody asked (correlation %d)", correlation)
		}
		if a.correlation != correlation {
			return fmt.Errorf("the broker answered out of order: expected the answer to correlation %d (%s), found %d",
				a.correlation, kmsg.NameForKey(a.key), correlation)
		}
		switch {
		case a.reply != nil:
			frame := make([]byte, size+4)
			if _, err = io.ReadFull(r.broker.Responses, frame); err == nil {
				a.reply <- frame[8:]
			}
		case carriesAddress(a.key, a.version) && (size <= maxRewritten || !passable(a.key)):
			err = r.passRewritten(a, size)
		default:
			err = copyBytes(r.client, r.broker.Conn, r.broker.Responses, int64(size)+4)
		}
		r.unanswered.Add(-1)
		if err != nil {
			return err
		}
	}
}

// maxRewritten bounds an answer that is read whole. A broker's limit for a fetch is 55 MiB (fetch.max.bytes), apart
// from a single larger record.
const maxRewritten = 128 << 20

func (r *relay) passRewritten(a pendingAnswer, size int32) error {
	if size > maxRewritten {
		return fmt.Errorf("an answer to %s of %d bytes: expected at most %d", kmsg.NameForKey(a.key), size,
			maxRewritten)
	}
	total := int(size) + 4
	if cap(r.buffer) < total || cap(r.buffer) > 8<<20 && total < 1<<20 {
		r.buffer = make([]byte, total)
	}
	frame := r.buffer[:total]
	if _, err := io.ReadFull(r.broker.Responses, frame); err != nil {
		return err
	}
	frame, err := r.rewrite(a, frame)
	if err != nil {
		return fmt.Errorf("an answer to %s version %d of %s: %w", kmsg.NameForKey(a.key), a.version, r.address, err)
	}
	_, err = r.client.Write(frame)
	return err
}
