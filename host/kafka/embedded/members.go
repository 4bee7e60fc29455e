package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// maxRequest bounds a request, as Kafka does by default (socket.request.max.bytes).
const maxRequest = 100 << 20

// Heartbeats for members that wait: how often, which is a third of the shortest session timeout that the broker takes
// (group.min.session.timeout.ms), and how many after a connection was closed. The first of these may come before the
// request has reached the group.
const (
	waitingHeartbeat = 2 * time.Second
	lastHeartbeats   = 2
)

// waitingMembers are the members of groups that wait for the answer to a JoinGroup or SyncGroup request. They cannot
// heartbeat meanwhile, so Kafka's coordinator counts them as alive, and their session timeout begins with the answer;
// whether the connection is still there does not matter (ClassicGroupMember.hasSatisfiedHeartbeat).
//
// kfake does neither. It removes a member whose session timeout ends while it waits, and never answers it. And a member
// whose connection is closed when the answer comes may have no session timeout at all: it stays until a rebalance
// timeout (max.poll.interval.ms, five minutes by default) ends, and all others wait for it.
//
// So the broker heartbeats for those that wait. When the connection is closed, the last heartbeats begin the session
// timeout by which kfake removes the member, unless it lives: then it heartbeats, or waits, over another connection.
//
// Invariants:
//
//   - A connection has at most one waiting member: its requests are answered one after the other.
//   - A member waits from when its request was read until it is answered, or until the last heartbeats after its
//     connection was closed.
//   - Members, generations and timeouts are kfake's alone. A heartbeat for a member that is gone changes nothing.
type waitingMembers struct {
	mu  sync.Mutex
	all map[*memberConn]*waitingMember
}

type waitingMember struct {
	group, id   string
	instance    *string // group.instance.id; the first join of a member that has one brings no id
	correlation uint32  // of the request
	closed      bool    // whether the connection is
	heartbeats  int     // since then
}

func (w *waitingMembers) asked(conn *memberConn, m *waitingMember) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[conn] = m
}

func (w *waitingMembers) answered(conn *memberConn, correlation uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.all[conn]; m != nil && m.correlation == correlation {
		delete(w.all, conn)
	}
}

func (w *waitingMembers) closed(conn *memberConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.all[conn]; m != nil {
		m.closed = true
	}
}

// now are copies of those that wait.
func (w *waitingMembers) now() map[*memberConn]waitingMember {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[*memberConn]waitingMember, len(w.all))
	for conn, m := range w.all {
		all[conn] = *m
	}
	return all
}

// heartbeated notes a heartbeat for one that was as is said.
func (w *waitingMembers) heartbeated(conn *memberConn, was waitingMember) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.all[conn]
	if m == nil || m.correlation != was.correlation || !was.closed {
		return
	}
	if m.heartbeats++; m.heartbeats == lastHeartbeats {
		delete(w.all, conn)
	}
}

// heartbeats owns the goroutine that heartbeats for members that wait.
type heartbeats struct {
	cluster *kfake.Cluster
	client  *kgo.Client // of the same broker
	end     context.CancelFunc
	ended   chan struct{}
}

// startHeartbeats needs the address that the broker listens on: the one that it advertises need not lead here.
func startHeartbeats(waiting *waitingMembers, cluster *kfake.Cluster, listening string, log *slog.Logger,
) (*heartbeats, error) {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, listening)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(listening), kgo.Dialer(dial), kgo.RequestRetries(0),
		kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &heartbeats{cluster, client, cancel, make(chan struct{})}
	go func() {
		defer close(h.ended)
		defer guard.Recover(log, "heartbeats for members that wait", nil)
		for pause.For(ctx, waitingHeartbeat) == nil {
			for conn, m := range waiting.now() {
				if h.send(ctx, m) {
					waiting.heartbeated(conn, m)
				}
			}
		}
	}()
	return h, nil
}

// close comes before that of the cluster, which answers nothing afterwards.
func (h *heartbeats) close() {
	h.end()
	<-h.ended
	h.client.Close()
}

// send returns false where the heartbeat has to be repeated: a rebalance that ended meanwhile began another generation.
func (h *heartbeats) send(ctx context.Context, m waitingMember) bool {
	group := h.cluster.GroupInfo(m.group)
	if group == nil {
		return true
	}
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.MemberID, request.Generation = m.group, m.id, group.Epoch
	for _, known := range group.Members {
		if m.instance != nil && known.InstanceID != nil && *known.InstanceID == *m.instance {
			request.MemberID = known.MemberID
		}
	}
	response, err := request.RequestWith(ctx, h.client)
	return err == nil && response.ErrorCode != kerr.IllegalGeneration.Code
}

// memberListener has the broker's connections watched for members that wait.
type memberListener struct {
	net.Listener
	waiting *waitingMembers
}

func (l memberListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &memberConn{Conn: conn, waiting: l.waiting}, nil
}

// memberConn reads whole requests, so that it knows who waits, and kfake gets only what it can take: it would make room
// for as many bytes as a length announces, and an API that it does not know would end the process. Each request is its
// length in four bytes, then that many bytes (https://kafka.apache.org/protocol#protocol_common).
type memberConn struct {
	net.Conn
	waiting *waitingMembers
	request []byte // what kfake has not read yet of the last one
}

func (c *memberConn) Read(p []byte) (int, error) {
	if len(c.request) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.request)
	c.request = c.request[n:]
	return n, nil
}

// next reads a request. Memory grows with what has come of it.
func (c *memberConn) next() error {
	var request bytes.Buffer
	if _, err := io.CopyN(&request, c.Conn, 4); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(request.Bytes())
	if length > maxRequest {
		return fmt.Errorf("expected a request of at most %d bytes, found %d", maxRequest, length)
	}
	if _, err := io.CopyN(&request, c.Conn, int64(length)); err != nil {
		return err
	}
	c.request = request.Bytes()
	body := c.request[4:]
	if len(body) < 2 || kmsg.RequestForKey(int16(binary.BigEndian.Uint16(body))) == nil {
		return errors.New("expected the key of an API of Kafka's")
	}
	if m := waitingBy(body); m != nil {
		c.waiting.asked(c, m)
	}
	return nil
}

// Write gets whole answers: kfake writes each at once.
func (c *memberConn) Write(p []byte) (int, error) {
	if len(p) >= 8 {
		c.waiting.answered(c, binary.BigEndian.Uint32(p[4:]))
	}
	return c.Conn.Write(p)
}

// Close is called by kfake when it can read no more, and once again when it stops writing.
func (c *memberConn) Close() error {
	c.waiting.closed(c)
	return c.Conn.Close()
}

// mayWait tells whether a request is one of those whose answer may have to wait for other members.
func mayWait(request []byte) bool {
	key := kmsg.Key(binary.BigEndian.Uint16(request))
	return key == kmsg.JoinGroup || key == kmsg.SyncGroup
}

// waitingBy is who waits by a request, nil for nobody. Before the request stand its key, its version, the correlation
// id and the client's id, and with newer versions tags.
func waitingBy(request []byte) *waitingMember {
	if !mayWait(request) {
		return nil
	}
	r := kbin.Reader{Src: request}
	parsed := kmsg.RequestForKey(r.Int16())
	parsed.SetVersion(r.Int16())
	m := &waitingMember{correlation: r.Uint32()}
	r.NullableString()
	if parsed.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if !r.Ok() || parsed.ReadFrom(r.Src) != nil {
		return nil // kfake ends the connection
	}
	switch parsed := parsed.(type) {
	case *kmsg.JoinGroupRequest:
		m.group, m.id, m.instance = parsed.Group, parsed.MemberID, parsed.InstanceID
	case *kmsg.SyncGroupRequest:
		m.group, m.id, m.instance = parsed.Group, parsed.MemberID, parsed.InstanceID
	}
	return m
}
