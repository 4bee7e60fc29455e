package deadletters

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrInProgress means that a concurrent replay would send dead letters twice, or leaves no memory for this one.
var ErrInProgress = errors.New("dead letters are being replayed already")

// Memory of replays, in bytes.
const (
	maxReplayBytes     = 320 << 20 // bounds all replays of a worker
	replayBytes        = 8 << 20   // of a replay: a batch of letters with the requests for them
	indexedLetterBytes = 300       // of a letter in a replayIndex, with its position among the selected ones
	watchedKeyBytes    = 50        // of a letter of a sink in offsetComparison
	watchedRowBytes    = 250       // of a record that a letter of a source becomes, in timeComparison
)

// Progress is how far a running replay, retry, dry run or discard is.
type Progress struct {
	Start    time.Time `json:"start"`
	Handled  int64     `json:"handled"`            // number of dead letters that were handled so far
	Selected int64     `json:"selected,omitempty"` // number to handle. Zero means that they are being selected.
}

// replayRegistry has the replays, retries, dry runs and discards that run on a worker. The zero value is ready.
//
// Invariants: a connector has at most one of them. All of them together have reserved at most maxReplayBytes.
type replayRegistry struct {
	mu      sync.Mutex
	running map[string]*runningReplay // by connector; "" is of several connectors
	bytes   int64                     // reserved by all
}

// runningReplay counts the letters of a replay, see [Progress], and the memory that it has reserved. A nil replay
// accepts reserve, and bounds nothing.
type runningReplay struct {
	registry  *replayRegistry
	connector string
	start     time.Time
	handled   atomic.Int64
	selected  atomic.Int64
	bytes     int64 // guarded by registry.mu
}

// begin registers a replay and reserves bytes. The caller must call end when the replay has ended. An error wraps
// [ErrInProgress].
func (r *replayRegistry) begin(connector string, bytes int64) (*runningReplay, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.running[connector]; ok {
		return nil, fmt.Errorf("connector %s: %w, for %v: repeat the request when that has ended", connector,
			ErrInProgress, time.Since(other.start).Round(time.Second))
	}
	running := &runningReplay{registry: r, connector: connector, start: time.Now()}
	if err := running.reserveLocked(bytes); err != nil {
		return nil, fmt.Errorf("connector %s: %w", connector, err)
	}
	if r.running == nil {
		r.running = map[string]*runningReplay{}
	}
	r.running[connector] = running
	return running, nil
}

// progress returns how far the replay of a connector is. Nil means that none runs.
func (r *replayRegistry) progress(connector string) *Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	if running := r.running[connector]; running != nil {
		return &Progress{Start: running.start, Handled: running.handled.Load(), Selected: running.selected.Load()}
	}
	return nil
}

// reserve reserves bytes until the end of the replay.
func (r *runningReplay) reserve(bytes int64) error {
	if r == nil {
		return nil
	}
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	return r.reserveLocked(bytes)
}

// reserveLocked is reserve while registry.mu is held.
func (r *runningReplay) reserveLocked(bytes int64) error {
	switch {
	case r.registry.bytes+bytes <= maxReplayBytes:
		r.registry.bytes += bytes
		r.bytes += bytes
		return nil
	case r.registry.bytes > r.bytes:
		return fmt.Errorf("%w: the replays of this worker use the %d MiB that they have together: repeat the request "+
			"when others have ended", ErrInProgress, maxReplayBytes>>20)
	}
	return fmt.Errorf("expected dead letters that need at most %d MiB of memory, found more: delete those that were "+
		"replayed, with kafka-delete-records for example, or select one connector", (maxReplayBytes-replayBytes)>>20)
}

// end removes the replay from its registry and returns its memory.
func (r *runningReplay) end() {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	delete(r.registry.running, r.connector)
	r.registry.bytes -= r.bytes
}
