package connect

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/wit"
)

// Share is the part of a connector that a worker runs.
type Share struct {
	// Whole is all of it: the share of a worker that is alone. The other fields say nothing then.
	Whole bool
	// Plans: the worker runs the connector itself, which shares its work out among tasks and hands them to
	// [Options].Planned.
	Plans bool
	// Planned are the connector's tasks, as it was planned last, here or by another worker; nil: it has not been since
	// its configuration changed.
	Planned *Planned
	// Tasks are the numbers of those tasks that the worker runs.
	Tasks []int
}

// Planned are the tasks of a connector, all of them, which workers share.
type Planned struct {
	// Version is another one with each plan. Tasks of two versions never run at the same time.
	Version int64
	// Tasks are their settings by number, as the user wrote them: see [TaskInfo].
	Tasks []map[string]string
}

func (s Share) has(task int) bool { return s.Whole || slices.Contains(s.Tasks, task) }

// none tells whether the worker runs nothing of the connector.
func (s Share) none() bool { return !s.Whole && !s.Plans && len(s.Tasks) == 0 }

// version is that of its tasks, 0 without any.
func (s Share) version() int64 {
	if s.Planned == nil {
		return 0
	}
	return s.Planned.Version
}

// crew are the tasks of a life as they come and go. The connector's lock guards it.
//
// A task is in connector.tasks from when it is made until it has ended because it was taken away. While the crew works
// (gone is there and not closed), each task of the share is at work or stops, in which case it is made again; when the
// last has ended the crew is over, and takes nobody in any more.
type crew struct {
	layout [][]wit.Setting // of all tasks of the connector, here or elsewhere; nil before the plan
	share  Share
	// startsAt is when a connector that could not be started is started again; zero: something else has to happen
	// first.
	startsAt time.Time

	living context.Context // of the tasks
	once   bool            // they run until their work is done
	left   int             // how many have not ended
	gone   chan struct{}   // closed when left is 0; nil before the crew works

	// working is how many of the tasks work, or go on by themselves. When it is 0 over has ended resting, the context
	// of those that have failed and wait for somebody who has them made again.
	working int
	resting context.Context
	over    context.CancelFunc
}

// takesIn tells whether tasks may come and go.
func (w *crew) takesIn() bool {
	select {
	case <-w.gone: // never, while it is nil
		return false
	default:
		return true
	}
}

// rests counts a task that does not work any more.
func (w *crew) rests() {
	if w.working--; w.working == 0 {
		w.over()
	}
}

// lay makes those of a connector's tasks that are the worker's, in a state, and returns them.
func (c *connector) lay(layout [][]wit.Setting, state State) []*task {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crew.layout, c.tasks = layout, nil
	for number := range layout {
		if c.crew.share.has(number) {
			c.tasks = append(c.tasks, c.newTask(number, state))
		}
	}
	return c.tasks
}

func (c *connector) newTask(number int, state State) *task {
	return &task{connector: c, number: number, settings: c.crew.layout[number], state: state}
}

// runTasks runs the tasks and returns when the last of them has ended.
func (c *connector) runTasks(ctx context.Context, once bool) {
	c.mu.Lock()
	w := c.crew
	w.living, w.once, w.gone = ctx, once, make(chan struct{})
	w.resting, w.over = context.WithCancel(ctx)
	defer w.over()
	for _, t := range c.tasks {
		t.begin()
	}
	if w.left == 0 {
		close(w.gone)
	}
	c.mu.Unlock()
	<-w.gone
}

// begin has the task work; the connector's lock is held.
func (t *task) begin() {
	c := t.connector
	ctx, leave := context.WithCancel(c.crew.living)
	t.leave = leave
	c.crew.left++
	c.crew.working++
	go func() {
		defer t.gone()
		defer guard.Recover(c.log, t.name(), nil, func(p *guard.Panic) { t.ended(ctx, p, slog.LevelError) })
		t.run(ctx, c.crew.once)
	}()
}

// gone takes the task out of the crew, which it has left. One that was taken away and given back meanwhile begins
// again.
func (t *task) gone() {
	c := t.connector
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crew.left--
	t.leave()
	switch at := slices.Index(c.tasks, t); {
	case !c.crew.share.has(t.number):
		c.tasks = slices.Delete(slices.Clone(c.tasks), at, at+1)
		delete(c.sinks.consumers, t.number)
	case t.leaving && c.crew.living.Err() == nil:
		again := c.newTask(t.number, Unassigned)
		c.tasks[at] = again
		again.begin()
	}
	if c.crew.left == 0 {
		close(c.crew.gone)
	}
}

// assign has the life run another part of the connector's tasks: those that are new to it begin, those that are not in
// the share stop, and the others are left alone. false: its last task has ended, so that another life has to begin.
func (c *connector) assign(share Share) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.crew
	w.share = share
	takesIn, works := w.takesIn(), w.gone != nil
	kept := slices.Clone(c.tasks)
	for _, t := range c.tasks {
		switch {
		case share.has(t.number):
		case works && takesIn:
			t.leaving = true
			t.leave()
		default:
			kept = slices.DeleteFunc(kept, func(k *task) bool { return k == t })
		}
	}
	c.tasks = kept
	if !takesIn {
		return false
	}
	for number := range w.layout {
		at, there := slices.BinarySearchFunc(c.tasks, number,
			func(t *task, n int) int { return cmp.Compare(t.number, n) })
		if there || !share.has(number) {
			continue
		}
		state := Unassigned
		if !works {
			state = Paused // its tasks are shown, see layOut
		}
		t := c.newTask(number, state)
		c.tasks = slices.Insert(c.tasks, at, t)
		if works {
			t.begin()
		}
	}
	return true
}

// once is what the first of several goroutines does for all of them. Where that fails, the next one tries again.
type once struct {
	turn guard.Turn
	done bool
}

func newOnce() *once { return &once{turn: guard.NewTurn()} }

// do returns when do was done, by whichever of them, with the error of this one's try, or when ctx ends.
func (o *once) do(ctx context.Context, do func() error) error {
	if err := o.turn.Lock(ctx); err != nil {
		return err
	}
	defer o.turn.Unlock()
	if o.done {
		return nil
	}
	err := do()
	o.done = err == nil
	return err
}

// openForTasks opens what only tasks need, and fences those that ran before them.
func (c *connector) openForTasks(ctx context.Context) error {
	if c.isSink() {
		return nil
	}
	return c.to.opened.do(ctx, func() error {
		if err := c.fence(ctx, len(c.crew.layout)); err != nil {
			return err
		}
		if err := c.openOffsets(ctx); err != nil {
			return err
		}
		return c.openAdmin()
	})
}
