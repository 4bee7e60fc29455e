package sink

import (
	"context"
	"sync"
)

// Settled is what the tasks of a connector in this process have settled of partitions that went away from them before
// it was committed: a group that cannot be reached gives its members' partitions up, although nobody else has them, and
// then offsets cannot be committed either. A partition that comes back, to whichever of the tasks, goes on after what
// was settled, as a member's does that was never away. The zero value is empty and ready.
type Settled struct {
	mu   sync.Mutex
	left map[topicPartition]left
}

// left is a partition as it was when it went away. What was on its way then is settled since, or not.
type left struct {
	account   *account
	partition *partition
}

func (s *Settled) keep(a *account, p *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left = map[topicPartition]left{}
	}
	s.left[p.at] = left{a, p}
}

// of is the partition that went away from an account last, nil if it has come back since.
func (s *Settled) of(a *account, at topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.left[at]; was.account == a {
		return was.partition
	}
	return nil
}

// take waits for deliveries that are still on their way, and returns the settled offsets from `next` on, the committed
// offset (-1: none). It returns none where next is before an offset that was committed here: somebody has set it back,
// to have records written again. last: metadata is the last that was made here, so the outcome of the requests that it
// lists is known.
func (s *Settled) take(ctx context.Context, at topicPartition, next int64, metadata string) (settled []offsetRange,
	last bool) {
	s.mu.Lock()
	was, ok := s.left[at]
	delete(s.left, at)
	s.mu.Unlock()
	if !ok {
		return nil, false
	}
	was.account.wait(ctx, was.partition)
	was.account.mu.Lock()
	defer was.account.mu.Unlock()
	p := was.partition
	if next < p.committed {
		return nil, false
	}
	return p.appendAhead(nil, max(next, 0), true), p.delivering == 0 &&
		(metadata == p.stored.said() || metadata == p.taken.said())
}
