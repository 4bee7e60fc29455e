package task

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

const (
	skipLogInterval = 10 * time.Second
	maxCauses       = 100
)

// SkipLog logs skipped records that become dead letters: the first of each cause at once, then their number every
// skipLogInterval. The causes after the first maxCauses are counted together. It is safe for concurrent use.
//
// Invariant: until Close, timer is set while causes has entries.
type SkipLog struct {
	Tolerance
	Message string

	mu       sync.Mutex
	causes   map[string]*skipCause
	timer    *time.Timer
	isClosed bool
}

type skipCause struct {
	log        *slog.Logger
	attrs      []any // of the cause, not of a record
	suppressed int   // records since the last line
}

// Skip logs or counts a skipped record. details, which may be nil, is called only if the record is logged with them.
func (s *SkipLog) Skip(log *slog.Logger, stage ErrorStage, err error, attrs []any, details func() []any) {
	cause := []any{"stage", stage, "error", err}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		s.LogSkipped(log, s.Message, append(attrs, cause...), details)
		return
	}
	name := string(stage) + ": " + causeOf(err.Error())
	c := s.causes[name]
	if c == nil && len(s.causes) >= maxCauses {
		name = "" // of all further causes together
		cause = []any{"stage", "any", "error", "others"}
		c = s.causes[name]
	}
	if c != nil {
		c.suppressed++
		return
	}
	if s.causes == nil {
		s.causes = map[string]*skipCause{}
	}
	s.causes[name] = &skipCause{log: log, attrs: cause}
	s.LogSkipped(log, s.Message, append(attrs, cause...), details)
	if s.timer == nil {
		s.timer = time.AfterFunc(skipLogInterval, s.tick)
	}
}

func (s *SkipLog) tick() {
	defer guard.Recover(nil, "the count of records that were left out", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	s.timer = nil
	if len(s.causes) > 0 && !s.isClosed {
		s.timer = time.AfterFunc(skipLogInterval, s.tick)
	}
}

// flush logs and resets the counts, and forgets causes without a new record. s.mu is locked.
func (s *SkipLog) flush() {
	for name, c := range s.causes {
		if c.suppressed == 0 {
			delete(s.causes, name)
			continue
		}
		s.LogSkipped(c.log, s.Message+", and more for the same cause",
			append([]any{"count", c.suppressed}, c.attrs...), nil)
		c.suppressed = 0
	}
}

// Close logs the remaining counts. Later records are logged one by one.
func (s *SkipLog) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isClosed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.flush()
}

// causeOf replaces numbers with # and omits the text in quotes, so that similar messages have the same cause.
func causeOf(message string) string {
	const longest = 300
	var b strings.Builder
	var quote byte
	for i := 0; i < len(message) && b.Len() < longest; i++ {
		c := message[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"', c == '`', c == '\'' && (i == 0 || message[i-1] == ' '): // not an apostrophe
			quote = c
		case c >= '0' && c <= '9':
			if !strings.HasSuffix(b.String(), "#") {
				b.WriteByte('#')
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
