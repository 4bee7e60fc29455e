package task

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// skipsEvery is how often it is said that records are left out for one cause.
const skipsEvery = 10 * time.Second

// maxCauses is how many causes are distinguished in that time: there may be one for each record.
const maxCauses = 100

// SkipLog says which records were left out that dead letters hold: of those of one cause the first at once, and how
// many more there were after each skipsEvery. Whoever uses it calls Close in the end.
//
// Invariant: timer is set while causes has entries.
type SkipLog struct {
	Tolerance
	// Message is what the lines are.
	Message string

	mu     sync.Mutex
	causes map[string]*skipCause
	timer  *time.Timer
	closed bool
}

// skipCause is one cause: more records were left out since something was said of it, by log.
type skipCause struct {
	log   *slog.Logger
	about []any
	more  int
}

// Skip says that a record was left out: where it failed, why, and about it.
func (s *SkipLog) Skip(log *slog.Logger, stage ErrorStage, err error, about []any, more func() []any) {
	said := []any{"stage", stage, "error", err}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.LogSkipped(log, s.Message, append(about, said...), more)
		return
	}
	name := string(stage) + ": " + causeOf(err.Error())
	c := s.causes[name]
	if c == nil && len(s.causes) >= maxCauses {
		name, said = "", []any{"stage", "any", "error", "others"}
		c = s.causes[name]
	}
	if c != nil {
		c.more++
		return
	}
	if s.causes == nil {
		s.causes = map[string]*skipCause{}
	}
	s.causes[name] = &skipCause{log: log, about: said}
	s.LogSkipped(log, s.Message, append(about, said...), more)
	if s.timer == nil {
		s.timer = time.AfterFunc(skipsEvery, s.tick)
	}
}

// tick says how many more there were, and forgets causes of which there were none.
func (s *SkipLog) tick() {
	defer guard.Recover(nil, "the count of records that were left out", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	if s.timer = nil; len(s.causes) > 0 && !s.closed {
		s.timer = time.AfterFunc(skipsEvery, s.tick)
	}
}

func (s *SkipLog) flush() {
	for name, c := range s.causes {
		if c.more == 0 {
			delete(s.causes, name)
			continue
		}
		s.LogSkipped(c.log, s.Message+", and more for the same cause", append([]any{"count", c.more}, c.about...), nil)
		c.more = 0
	}
}

// Close says what has not been said yet.
func (s *SkipLog) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.timer != nil {
		s.timer.Stop()
	}
	s.flush()
}

// causeOf is an error without what differs from record to record: numbers and what stands in quotes.
func causeOf(text string) string {
	const longest = 300
	var b strings.Builder
	var quote byte
	for i := 0; i < len(text) && b.Len() < longest; i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"', c == '`', c == '\'' && (i == 0 || text[i-1] == ' '):
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
