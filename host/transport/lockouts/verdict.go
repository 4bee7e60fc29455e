package lockouts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// recently is how long an acceptance speaks for a secret.
const recently = time.Hour

// doubtPause is how long nothing is sent with a secret in doubt. It is longer than idle connections live, so that the
// second try has a connection of its own too, which a load balancer may lead to another server.
const doubtPause = 3 * time.Second

// courtesy is how much longer nothing else is sent than what was refused and the fetching of its token: its answer ends
// the doubt.
const courtesy = time.Second

// state is what is thought of a secret.
type state byte

const (
	unjudged state = 0
	// refused: it is not sent again.
	refused state = 'r'
	// doubtful: it was refused once and is to be tried again.
	doubtful state = 'd'
	// tried: that is being done. Found with the lock of logons in hand, it says that whoever did it has died.
	tried state = 't'
	// onTrial: something else was accepted since, and what was refused is to be tried again.
	onTrial state = 'w'
	// retried: that is being done, as above.
	retried state = 'W'
)

// Request is what a request asks for, as far as doubts go by it: all but its query and body. The zero value is no
// request.
type Request struct {
	// writes: it may be no GET, and all that are none are tried one at a time.
	writes bool
	hash   [8]byte
	// serves is the hash of the request that this one fetches a token for, otherwise its own.
	serves [8]byte
}

// requestOf is what a method and a line ask for; the salt is that of the store.
func requestOf(salt []byte, method, line string) Request {
	path, _, _ := strings.Cut(line, "?")
	a := Request{writes: method != http.MethodGet && method != http.MethodHead}
	if !a.writes {
		method = http.MethodGet
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", salt, method, path))
	copy(a.hash[:], hash[:])
	a.serves = a.hash
	return a
}

// For is the request as one that fetches a token for another one.
func (a Request) For(other Request) Request {
	a.serves = other.hash
	return a
}

// verdict is a state, and since when it holds: of a doubt, since the refusal that began it.
type verdict struct {
	state state
	at    time.Time
	// of is what was refused when the doubt began.
	of Request
}

// doubted: whatever is sent tries the secret.
func (v verdict) doubted() bool { return v.state == doubtful || v.state == tried }

func (v verdict) onTrial() bool { return v.state == onTrial || v.state == retried }

// trial says whether a request tries the secret, and is to be sent alone and in a fresh session.
func (v verdict) trial(a Request) bool {
	return v.doubted() || v.onTrial() && (a.hash == v.of.hash || a.writes && v.of.writes)
}

// before says whether a request was sent before the doubt: for the pause nothing was.
func (v verdict) before(sent time.Time) bool { return sent.Before(v.at.Add(doubtPause)) }

// left is how long a request is not to be sent.
func (v verdict) left(a Request) time.Duration {
	pause := doubtPause
	if a.serves != v.of.hash {
		pause += courtesy
	}
	if !v.doubted() && (!v.onTrial() || v.trial(a)) {
		return 0
	}
	return min(pause, pause-time.Since(v.at)) // a clock may have been set back
}

// pause waits so long.
func (v verdict) pause(ctx context.Context, a Request) error {
	left := v.left(a)
	if left <= 0 {
		return nil
	}
	return pause.For(ctx, left)
}

// bytes are what stands in a file.
func (v verdict) bytes() []byte {
	b := append(binary.BigEndian.AppendUint64(nil, uint64(v.at.UnixMilli())), byte(v.state))
	if v.state == refused {
		return b
	}
	writes := byte(0)
	if v.of.writes {
		writes = 1
	}
	return append(append(b, writes), v.of.hash[:]...)
}

// readVerdict reads a file. What is no verdict is a refusal: rather not sent than a user locked.
func readVerdict(content []byte) verdict {
	if len(content) < 8 {
		return verdict{state: refused, at: time.Now()}
	}
	v := verdict{state: refused, at: time.UnixMilli(int64(binary.BigEndian.Uint64(content)))}
	if len(content) != 10+len(v.of.hash) {
		return v
	}
	if found := (verdict{state: state(content[8])}); found.doubted() || found.onTrial() {
		v.state, v.of.writes = found.state, content[9] != 0
		copy(v.of.hash[:], content[10:])
	}
	return v
}
