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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
)

const maxRequest = 100 << 20 // bytes, as in Kafka (socket.request.max.bytes)

const (
	// waitingHeartbeat is the interval for waiting members: a third of group.min.session.timeout.ms.
	waitingHeartbeat = 2 * time.Second
	// lastHeartbeats are sent after a connection was closed; the first of them may precede the join.
	lastHeartbeats = 2
)

// waitingMembers are group members that wait for a JoinGroup or SyncGroup response. They cannot send heartbeats, so
// Kafka's coordinator counts them as alive and starts their session timeout with the response
// (ClassicGroupMember.hasSatisfiedHeartbeat). kfake does not: it removes members whose session ends while they wait
// without responding, and keeps a member whose connection was closed until the rebalance timeout, for which all
// others wait.
//
// So the broker sends heartbeats for waiting members. The last ones after a closed connection start the session
// timeout after which kfake removes the member, unless it has another connection.
//
// Invariants: a connection has at most one waiting member. Members, generations and timeouts belong to kfake; a
// heartbeat for a removed member changes nothing.
type waitingMembers struct {
	mu     sync.Mutex
	byConn map[*memberConn]*waitingMember
}

type waitingMember struct {
	group       string
	id          string
	instance    *string // group.instance.id; its first join has no ID
	correlation uint32  // of the request
	isClosed    bool    // the connection is closed
	heartbeats  int     // sent since the connection was closed
}

func (w *waitingMembers) add(conn *memberConn, m *waitingMember) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byConn[conn] = m
}

func (w *waitingMembers) remove(conn *memberConn, correlation uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.byConn[conn]; m != nil && m.correlation == correlation {
		delete(w.byConn, conn)
	}
}

func (w *waitingMembers) markClosed(conn *memberConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.byConn[conn]; m != nil {
		m.isClosed = true
	}
}

func (w *waitingMembers) snapshot() map[*memberConn]waitingMember {
	w.mu.Lock()
	defer w.mu.Unlock()
	members := make(map[*memberConn]waitingMember, len(w.byConn))
	for conn, m := range w.byConn {
		members[conn] = *m
	}
	return members
}

// countHeartbeat counts a heartbeat after a closed connection, and forgets the member after the last one.
func (w *waitingMembers) countHeartbeat(conn *memberConn, sentFor waitingMember) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.byConn[conn]
	if m == nil || m.correlation != sentFor.correlation || !sentFor.isClosed {
		return
	}
	m.heartbeats++
	if m.heartbeats == lastHeartbeats {
		delete(w.byConn, conn)
	}
}

// heartbeats sends heartbeats for waiting members.
type heartbeats struct {
	cluster *kfake.Cluster
	client  *kgo.Client // a client of this broker
	cancel  context.CancelFunc
	done    chan struct{}
}

// startHeartbeats sends heartbeats for the waiting members until close is called.
func startHeartbeats(waiting *waitingMembers, cluster *kfake.Cluster, brokerAddr string,
	log *slog.Logger) (*heartbeats, error) {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, brokerAddr)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokerAddr), kgo.Dialer(dial), kgo.RequestRetries(0),
		kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &heartbeats{cluster: cluster, client: client, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		defer guard.Recover(log, "heartbeats for members that wait", nil)
		for pause.For(ctx, waitingHeartbeat) == nil {
			for conn, m := range waiting.snapshot() {
				if h.send(ctx, m) {
					waiting.countHeartbeat(conn, m)
				}
			}
		}
	}()
	return h, nil
}

// close waits until no more heartbeats are sent. Call it before the cluster, which then does not respond, is closed.
func (h *heartbeats) close() {
	h.cancel()
	<-h.done
	h.client.Close()
}

// send sends a heartbeat for a member. It returns false if the generation has changed in the meantime.
func (h *heartbeats) send(ctx context.Context, m waitingMember) bool {
	group := h.cluster.GroupInfo(m.group)
	if group == nil {
		return true
	}
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group = m.group
	request.MemberID = m.id
	request.Generation = group.Epoch
	for _, member := range group.Members {
		if m.instance != nil && member.InstanceID != nil && *member.InstanceID == *m.instance {
			request.MemberID = member.MemberID
		}
	}
	response, err := request.RequestWith(ctx, h.client)
	return err == nil && response.ErrorCode != kerr.IllegalGeneration.Code
}

// memberListener accepts connections that notice waiting members.
type memberListener struct {
	net.Listener
	waiting *waitingMembers
}

// Accept implements [net.Listener]; its connections are of type memberConn.
func (l memberListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &memberConn{Conn: conn, waiting: l.waiting}, nil
}

// memberConn reads whole requests (a length in four bytes and that many bytes) to find waiting members, and to protect
// kfake, which would allocate whatever a length announces and panic on unknown APIs.
type memberConn struct {
	net.Conn
	waiting *waitingMembers
	request []byte // the part of the last request that kfake has not read yet
}

// Read returns bytes of one request at a time. It blocks until the whole request was received.
func (c *memberConn) Read(p []byte) (int, error) {
	if len(c.request) == 0 {
		// The buffer grows only with the received bytes.
		var request bytes.Buffer
		if _, err := io.CopyN(&request, c.Conn, 4); err != nil {
			return 0, err
		}
		length := binary.BigEndian.Uint32(request.Bytes())
		if length > maxRequest {
			return 0, fmt.Errorf("expected a request of at most %d bytes, found %d", maxRequest, length)
		}
		if _, err := io.CopyN(&request, c.Conn, int64(length)); err != nil {
			return 0, err
		}
		c.request = request.Bytes()
		body := c.request[4:]
		if len(body) < 2 || kmsg.RequestForKey(int16(binary.BigEndian.Uint16(body))) == nil {
			return 0, errors.New("expected the key of a Kafka API")
		}
		if m := waitingMemberOf(body); m != nil {
			c.waiting.add(c, m)
		}
	}
	n := copy(p, c.request)
	c.request = c.request[n:]
	return n, nil
}

// Write sends a response, or a part of one, and ends the wait of the member that it is for.
func (c *memberConn) Write(p []byte) (int, error) {
	if len(p) >= 8 { // a length and the request's correlation id
		c.waiting.remove(c, binary.BigEndian.Uint32(p[4:]))
	}
	return c.Conn.Write(p)
}

func (c *memberConn) Close() error {
	c.waiting.markClosed(c)
	return c.Conn.Close()
}

// waitingMemberOf returns the member that waits for a response, or nil. The client ID precedes optional tags.
func waitingMemberOf(body []byte) *waitingMember {
	key := kmsg.Key(binary.BigEndian.Uint16(body))
	if key != kmsg.JoinGroup && key != kmsg.SyncGroup { // their responses may have to wait for other members
		return nil
	}
	r := kbin.Reader{Src: body}
	request := kmsg.RequestForKey(r.Int16())
	request.SetVersion(r.Int16())
	member := &waitingMember{correlation: r.Uint32()}
	r.NullableString()
	if request.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if !r.Ok() || request.ReadFrom(r.Src) != nil {
		return nil // kfake ends the connection
	}
	switch request := request.(type) {
	case *kmsg.JoinGroupRequest:
		member.group = request.Group
		member.id = request.MemberID
		member.instance = request.InstanceID
	case *kmsg.SyncGroupRequest:
		member.group = request.Group
		member.id = request.MemberID
		member.instance = request.InstanceID
	}
	return member
}
