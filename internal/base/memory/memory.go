// Package memory divides the memory limit of the process among its buffers.
package memory

import (
	"context"
	"math"
	"sync/atomic"
)

// Budget divides the memory limit of the process:
//
//   - a quarter for the plugin instances of sources and sinks. Transforms have as much, see package plugin;
//   - an eighth for the rows of sink tasks, from their batches to their requests;
//   - a sixteenth for records that consumers have fetched and tasks have not received;
//   - a sixteenth for the chunks of source tasks;
//   - a thirty-second for what the worker can do without: digests of the keys of first loads, and samples.
//
// The rest is for the program, the garbage between two collections, and rows that are larger than the part of their
// task. A setting for one of these buffers has precedence. The nil budget limits neither rows nor fetched records;
// Plugins and Instance must not be called on it.
type Budget struct {
	limit   int64
	rows    *Share
	fetched *Share
	spare   *Quota
}

// The defaults apply if the memory suffices.
const (
	DefaultInstance = 128 << 20 // bytes, see [Budget.Instance]
	DefaultChunks   = 32        // see [Budget.Chunks]
	defaultPlugins  = 2 << 30
	minInstance     = 32 << 20 // a Go guest needs about this
	minPart         = 1 << 20
	minChunks       = 4
	chunkBytes      = 1 << 20 // rows of a chunk with their records, unless one row is larger
)

// New returns the budget of a process with a memory limit in bytes.
func New(limit int64) *Budget {
	return &Budget{limit: limit, rows: newShare(limit / 8), fetched: newShare(limit / 16), spare: NewQuota(limit / 32)}
}

// Plugins returns the bytes for the instances of all plugins.
func (b *Budget) Plugins() int64 { return min(max(b.limit/4, minInstance), defaultPlugins) }

// Instance returns the bytes that a plugin instance may grow to. Several fit, because a slow service occupies one.
func (b *Budget) Instance() int64 { return min(max(b.limit/8, minInstance), DefaultInstance) }

// Chunks returns how many chunks all source tasks share.
func (b *Budget) Chunks() int {
	if b == nil {
		return DefaultChunks
	}
	return int(min(max(b.limit/16/chunkBytes, minChunks), DefaultChunks))
}

// Rows returns the share of the sink tasks for their rows.
func (b *Budget) Rows() *Share {
	if b == nil {
		return nil
	}
	return b.rows
}

// Fetched returns the share of the consumers for records that tasks have not received.
func (b *Budget) Fetched() *Share {
	if b == nil {
		return nil
	}
	return b.fetched
}

// Spare returns the quota for what the worker can do without.
func (b *Budget) Spare() *Quota {
	if b == nil {
		return nil
	}
	return b.spare
}

// Quota is memory that its users reserve as long as some is left. The nil quota has no limit. It is safe for concurrent
// use.
type Quota struct {
	bytes int64
	used  atomic.Int64
}

// NewQuota returns a quota of a number of bytes.
func NewQuota(bytes int64) *Quota { return &Quota{bytes: bytes} }

// TryReserve reserves bytes and reports whether it could. It does not wait.
func (q *Quota) TryReserve(bytes int) bool {
	if q == nil || q.used.Add(int64(bytes)) <= q.bytes {
		return true
	}
	q.used.Add(-int64(bytes))
	return false
}

// Release returns reserved bytes.
func (q *Quota) Release(bytes int) {
	if q != nil {
		q.used.Add(-int64(bytes))
	}
}

// Share is memory that is divided equally among its users, each of which may use at least 1 MiB. What is too large for
// a part needs the turn, which one user has at a time and others wait for: once [Share.IsTurnWanted], its user must end
// it within a bounded time, whatever it waits for itself. The nil share has no limit. It is safe for concurrent use.
type Share struct {
	bytes  int64
	users  atomic.Int64
	turn   chan struct{} // has one element while a user has the turn
	wanted atomic.Bool
}

func newShare(bytes int64) *Share { return &Share{bytes: bytes, turn: make(chan struct{}, 1)} }

// Join adds a user. leave removes it and must be called once.
func (s *Share) Join() (leave func()) {
	if s == nil {
		return func() {}
	}
	s.users.Add(1)
	return func() { s.users.Add(-1) }
}

// Part returns the bytes that each user may use now. It changes when users come and go.
func (s *Share) Part() int64 {
	if s == nil {
		return math.MaxInt64
	}
	return max(s.bytes/max(s.users.Load(), 1), minPart)
}

// TryTurn takes the turn and reports whether it could; false means that another user has it.
func (s *Share) TryTurn() bool {
	if s == nil {
		return true
	}
	select {
	case s.turn <- struct{}{}:
		s.wanted.Store(false)
		return true
	default:
		s.wanted.Store(true)
		return false
	}
}

// IsTurnWanted reports whether a user was denied the turn and none has taken it since.
func (s *Share) IsTurnWanted() bool { return s != nil && s.wanted.Load() }

// AwaitTurn blocks until no user has the turn. It does not take it.
func (s *Share) AwaitTurn(ctx context.Context) error {
	if s == nil {
		return nil
	}
	select {
	case s.turn <- struct{}{}:
		<-s.turn
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// EndTurn ends the turn of the caller, who must have it.
func (s *Share) EndTurn() {
	if s != nil {
		<-s.turn
	}
}
