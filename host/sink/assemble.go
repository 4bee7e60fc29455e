package sink

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return binding{b} }

type binding struct{ *plugin.Binding }

func (b binding) Current() Code { return code{b.Binding.Current()} }

func (b binding) Candidate() Code {
	if p := b.Binding.Candidate(); p != nil {
		return code{p}
	}
	return nil
}

func (b binding) Promote(c Code)               { b.Binding.Promote(c.(code).Pool) }
func (b binding) Reject(c Code, reason string) { b.Binding.Reject(c.(code).Pool, reason) }

type code struct{ *plugin.Pool }

func (c code) Acquire(ctx context.Context) (Writer, error) {
	i, err := c.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (c code) Release(w Writer) { c.Pool.Release(w.(*plugin.Instance)) }
func (c code) Version() string  { return c.Module().Version }

// Ends tells when a group has written everything that its topics held at a moment: at the first call of CaughtUp. All tasks of
// the group are looked at, whichever of them asks.
type Ends struct {
	admin  *kafka.Admin
	reader *kafka.Reader
	group  string
	topics func(ctx context.Context) ([]string, error)
	ends   map[string]kafka.Positions
}

// NewEnds makes one for a group; topics lists those that it reads. It belongs to one goroutine at a time.
func NewEnds(admin *kafka.Admin, reader *kafka.Reader, group string, topics func(ctx context.Context) ([]string, error)) *Ends {
	return &Ends{admin: admin, reader: reader, group: group, topics: topics}
}

// CaughtUp tells whether all offsets are committed up to the ends; see Options.CaughtUp.
func (e *Ends) CaughtUp(ctx context.Context) (bool, error) {
	if e.ends == nil {
		topics, err := e.topics(ctx)
		if err != nil {
			return false, err
		}
		if e.ends, err = e.admin.EndOffsets(ctx, false, topics...); err != nil {
			return false, fmt.Errorf("end offsets: %w", err)
		}
	}
	committed, err := e.admin.Committed(ctx, e.group)
	if err != nil {
		return false, fmt.Errorf("offsets of group %s: %w", e.group, err)
	}
	for topic, ends := range e.ends {
		from, to := kafka.Positions{}, kafka.Positions{}
		for partition, end := range ends {
			if at := committed[topic][partition]; at < end {
				from[partition], to[partition] = at, end
			}
		}
		if len(to) == 0 {
			continue
		}
		if empty, err := e.reader.Empty(ctx, topic, from, to); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}
