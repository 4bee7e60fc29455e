package source

import (
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// produce is the third stage: it sends and does not wait for answers. Where records go out in transactions, one begins here
// with the first chunk of a page and is committed behind the page's last (kafka.Producer's Begin, Commit, Abort).
func (f *feed) produce() {
	for c := range f.shaped {
		if c.err == nil && f.failed.Err() == nil {
			start := time.Now()
			if err := guard.Do(f.task.log, "feed "+f.name+", the stage of producing", func() error {
				f.producer.Produce(f.failed, c.produced, c.done)
				return nil
			}); err != nil {
				f.fail(err)
			}
			f.task.count.produce.Since(start)
		}
		f.sent <- c
	}
}

// settle is the last stage: in the order in which chunks were sent it waits until they are acknowledged, moves the offset, and
// gives them back. A chunk that an earlier stage could not handle fails the feed here, when all before it are acknowledged.
func (f *feed) settle() {
	for c := range f.sent {
		if err := guard.Do(f.task.log, "feed "+f.name+", the stage of settling", func() error { return f.settleOne(c) }); err != nil {
			f.fail(err)
		}
		f.give(c)
	}
}

func (f *feed) settleOne(c *chunk) error {
	if f.failed.Err() != nil {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	select {
	case s := <-c.settled:
		if s.err != nil {
			return fmt.Errorf("%s: %w", c.page, s.err)
		}
		f.task.count.written.Add(int64(s.records))
	case <-f.failed.Done():
		return nil
	}
	if c.moves {
		f.task.o.Offsets.Acknowledged(f.partition, c.mark.stored(c.fingerprint))
	}
	if c.barrier != nil {
		if err := f.task.o.Offsets.Flush(f.failed); err != nil {
			return fmt.Errorf("store the offset: %w", err)
		}
		close(c.barrier)
	}
	return nil
}
