package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/guard"
)

// parked is a record that is to be sent again, or was not sent because others before it are.
type parked struct {
	b *Batch
	r *kgo.Record
}

// resending is what a producer sends again after MESSAGE_TOO_LARGE, which brokers say of batches whose records they
// take one by one: when all that is under way is settled, by a new client with smaller batches, in the order in which
// it was produced. The producer's lock guards it.
type resending struct {
	// refused are the records of which it was said, with the first error; held those that came after and were not sent.
	refused map[*kgo.Record]struct{}
	cause   error
	held    []parked
	// largest is the largest of the refused, by topic.
	largest map[string]int32
	// active: a goroutine is at it.
	active bool
	// closed: the producer was.
	closed bool
	// resized is what came of the limits where the producer cannot send again by itself, nil: not asked yet.
	resized *bool
}

// refuse keeps a record to send it again. false: it has failed.
func (p *Producer) refuse(b *Batch, r *kgo.Record, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.resending
	if s.largest == nil {
		s.largest = map[string]int32{}
	}
	s.largest[r.Topic] = max(s.largest[r.Topic], sizeAlone(r))
	if p.failure != nil || p.client.Load().again == nil {
		return false
	}
	if len(s.refused) == 0 {
		s.refused, s.cause = map[*kgo.Record]struct{}{}, fmt.Errorf("produce to topic %s: %w", r.Topic, err)
	}
	s.refused[r] = struct{}{}
	b.parked++
	p.halted.Store(true)
	p.resendWhenQuiet()
	return true
}

// hold keeps the records of a batch from one on from being sent before those that are sent again. false: none is.
func (p *Producer) hold(b *Batch, from int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.halted.Load() {
		return false
	}
	for i := from; i < b.n; i++ {
		p.resending.held = append(p.resending.held, parked{b, b.at(i)})
	}
	b.parked += b.n - from
	return true
}

// resendWhenQuiet begins to send again when nothing else is under way. The lock is held.
func (p *Producer) resendWhenQuiet() {
	if !p.halted.Load() || p.resending.active {
		return
	}
	for _, b := range p.queue {
		if b.pending.Load() != int64(b.parked) {
			return
		}
	}
	p.resending.active = true
	go p.resend()
}

// resend sends what is parked by a new client.
func (p *Producer) resend() {
	defer guard.Vital("sending records again that were too large together") // nobody else settles what is parked
	list, err := p.unpark()
	client := p.client.Load()
	if err == nil {
		client.retire()
		if err = client.again(p); err == nil {
			client.leave(p)
		}
	}
	if err != nil {
		p.giveUp(list, err)
		return
	}
	client = p.client.Load()
	for {
		for i, x := range list {
			if p.refusing() {
				p.mu.Lock()
				p.resending.held = append(list[i:len(list):len(list)], p.resending.held...)
				for _, x := range list[i:] {
					x.b.parked++
				}
				p.mu.Unlock()
				break
			}
			room := client.limits.raisable(x.r.Topic, client.most)
			if room > 0 && sizeAlone(x.r) > room && p.refuse(x.b, x.r, kerr.MessageTooLarge) {
				continue
			}
			x.r.Context = client.life
			client.Produce(client.life, x.r, x.b.promise)
		}
		go func() { // nothing of it lingers: it is late already
			defer guard.Recover(nil, "sending records again that were too large together", nil)
			_ = client.Flush(client.life)
		}()
		p.mu.Lock()
		s := &p.resending
		if len(s.refused) > 0 {
			s.active = false
			p.resendWhenQuiet()
			p.mu.Unlock()
			return
		}
		if list = s.held; len(list) == 0 {
			s.active = false
			p.halted.Store(false)
			p.mu.Unlock()
			return
		}
		s.held = nil
		for _, x := range list {
			x.b.parked--
		}
		p.mu.Unlock()
	}
}

func (p *Producer) refusing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.resending.refused) > 0
}

// unpark takes what is parked, in its order. The error says why it cannot be sent again: it would be refused again, or
// come after records of its partition that were sent while it was refused. Then its feed is to start over.
func (p *Producer) unpark() (list []parked, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.resending
	type partition struct {
		topic  string
		number int32
	}
	passed, overtaken := map[partition]bool{}, false
	held := make(map[*kgo.Record]struct{}, len(s.held))
	for _, x := range s.held {
		held[x.r] = struct{}{}
	}
	for _, b := range p.queue {
		for i := range b.n {
			r := b.at(i)
			if _, refused := s.refused[r]; refused {
				list = append(list, parked{b, r})
				passed[partition{r.Topic, r.Partition}] = true
			} else if _, waits := held[r]; !waits && passed[partition{r.Topic, r.Partition}] {
				overtaken = true
			}
		}
		b.parked = 0
	}
	list = append(list, s.held...)
	client := p.client.Load()
	switch {
	case p.failure != nil:
		err = p.failure
	case !client.limits.resize(s.largest, client.most, client.version):
		err = s.cause
	case overtaken:
		err = &Rewound{Cause: s.cause}
	}
	s.refused, s.held, s.largest = nil, nil, nil
	return list, err
}

// giveUp fails what cannot be sent again, and what comes after it.
func (p *Producer) giveUp(list []parked, err error) {
	p.mu.Lock()
	if p.failure == nil {
		p.failure = err
	}
	list = append(list, p.resending.held...)
	for _, x := range p.resending.held {
		x.b.parked--
	}
	p.resending = resending{closed: p.resending.closed}
	p.halted.Store(false)
	p.mu.Unlock()
	for _, x := range list {
		x.b.fail(err)
		x.b.release(1)
	}
}

// smaller tells whether another producer would send records in batches that may be taken, after an error that says
// MESSAGE_TOO_LARGE of one that cannot send again by itself, whose client has asked for a version of the limits.
func (p *Producer) smaller(err error, version int) bool {
	if !errors.Is(err, kerr.MessageTooLarge) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.resending
	if s.resized == nil {
		client := p.client.Load()
		helps := client.limits.resize(s.largest, client.most, version)
		s.resized = &helps
	}
	return *s.resized
}
