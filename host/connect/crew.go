package connect

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/wit"
)

// Share is the part of a connector that a worker runs.
type Share struct {
	// Whole is all of it: the share of a worker that is alone. The other fields say nothing then.
	Whole bool
	// Plans: the worker runs the connector itself, which shares its work out among tasks where Planned is nil.
	Plans bool
	// Planned are the connector's tasks, all of them, as workers share them; nil: they were not planned since the
	// configuration changed. Tasks of two versions never run at the same time.
	Planned *config.TaskSet
	// Tasks are the numbers of those that the worker runs.
	Tasks []int
}

func (s Share) has(task int) bool { return s.Whole || slices.Contains(s.Tasks, task) }

// none tells whether the worker runs nothing of the connector.
func (s Share) none() bool { return !s.Whole && !s.Plans && len(s.Tasks) == 0 }

// claims are what the connector's tasks claim, as workers share them.
func (s Share) claims() []string {
	if s.Planned == nil {
		return nil
	}
	return s.Planned.Demand.Claims
}

// version is that of the tasks, 0 where they are not planned.
func (s Share) version() int64 {
	if s.Planned == nil {
		return 0
	}
	return s.Planned.Version
}

// crew are the tasks of a life as they come and go. The connector's lock guards it.
//
// A task is in connector.tasks from when it is made until it has ended because it was taken away. While the crew works
// (gone is there and not closed), each task of the share is at work, or stops to be made again. The crew of a whole
// share is over when the last of its tasks has ended, as nobody brings others; that of a part when its life is to end,
// too.
type crew struct {
	// assigning is held while tasks are brought to another share; it is taken before the connector's lock.
	assigning sync.Mutex

	layout [][]wit.Setting // of all tasks of the connector, here or elsewhere; nil: not planned yet
	share  Share
	// startsAt is when a connector that could not be started is started again; zero: something else has to happen
	// first.
	startsAt time.Time

	living context.Context // of the tasks
	once   bool            // they run until their work is done
	left   int             // how many have not ended
	// open is from when it works until the life has closed what its tasks shared, and has logged off. The worker holds
	// all tasks so long that end with their life, since who runs them next opens sessions of its own (P16): those in
	// connector.tasks, and parted, which were taken away before, with all others.
	open   bool
	parted []int
	gone   chan struct{} // closed when the crew is over; nil before it works

	// working is how many of the tasks work, or go on by themselves. When it is 0 in a whole share, over has ended
	// resting, the context of those that have failed and wait for somebody who has them made again.
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

// end notes that the crew is over, if it is.
func (w *crew) end() {
	if w.left == 0 && (w.share.Whole || w.living.Err() != nil) && w.takesIn() {
		close(w.gone)
	}
}

// rests counts a task that does not work any more.
func (w *crew) rests() {
	if w.working--; w.working == 0 && w.share.Whole {
		w.over()
	}
}

// shared is the share that the life has now.
func (c *connector) shared() Share {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crew.share
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

// runTasks runs the tasks and returns when the crew is over.
func (c *connector) runTasks(ctx context.Context, once bool) {
	resting, over := context.WithCancel(ctx)
	defer over()
	w := c.crew
	w.assigning.Lock()
	c.mu.Lock()
	w.living, w.once, w.gone, w.open = ctx, once, make(chan struct{}), true
	w.resting, w.over = resting, over
	for _, t := range c.tasks {
		t.begin()
	}
	c.mu.Unlock()
	c.bring()
	w.assigning.Unlock()
	select {
	case <-w.gone:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	w.end()
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
	defer c.changed()
	c.crew.left--
	t.leave()
	t.leave = nil
	switch at := slices.Index(c.tasks, t); {
	case !c.crew.share.has(t.number):
		c.tasks = slices.Delete(slices.Clone(c.tasks), at, at+1)
		if c.crew.share.none() {
			c.crew.parted = append(c.crew.parted, t.number)
		}
	case t.leaving && c.crew.living.Err() == nil:
		again := c.newTask(t.number, Unassigned)
		c.tasks[at] = again
		again.begin()
	}
	c.crew.end()
}

// assign has the life run another part of the connector's tasks: those that are new to it begin, those that are not in
// the share stop, and the others are left alone. false: another life has to begin, since the crew is over or the tasks
// were planned once more.
func (c *connector) assign(share Share) bool {
	w := c.crew
	w.assigning.Lock()
	defer w.assigning.Unlock()
	c.mu.Lock()
	again := w.share.version() != 0 && share.version() != w.share.version()
	if !again {
		w.share = share
	}
	if !share.none() {
		w.parted = nil
	}
	c.mu.Unlock()
	return !again && c.bring()
}

// bring has the tasks be those of the share; false: the crew is over. w.assigning is held.
func (c *connector) bring() bool {
	w := c.crew
	c.mu.Lock()
	set, plan := w.share.Planned, w.gone != nil && w.layout == nil && w.share.Planned != nil
	c.mu.Unlock()
	var layout [][]wit.Setting
	if plan { // without the lock, which settingsOf takes
		layout = c.settingsOf(set)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if plan {
		w.layout = layout
	}
	takesIn, works := w.takesIn(), w.gone != nil
	kept := slices.Clone(c.tasks)
	for _, t := range c.tasks {
		switch {
		case w.share.has(t.number):
		case t.leave != nil:
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
		if there || !w.share.has(number) {
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
	if works {
		w.end()
	}
	return true
}

// Holding is what a worker has of a connector: its share, or tasks that have not ended yet, which may be the same.
type Holding struct {
	Connector string
	Plans     bool
	// Version is that of the tasks, 0 where they are not planned.
	Version int64
	Tasks   []int
}

// holds are the tasks of the life that have not ended, or end with it.
func (c *connector) holds() Holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := Holding{Connector: c.given.Name, Version: c.crew.share.version(), Tasks: slices.Clone(c.crew.parted)}
	ends := c.crew.open && c.crew.living.Err() != nil
	for _, t := range c.tasks {
		if t.leave != nil || ends {
			h.Tasks = append(h.Tasks, t.number)
		}
	}
	return h
}

// over notes that the life has closed what its tasks shared.
func (c *connector) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crew.open, c.crew.parted = false, nil
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

// openForTasks opens what only tasks need, and fences those that ran before them. In a group the worker may have tasks
// of two connectors with one claim, the first of which is about to end here: that is waited for.
func (c *connector) openForTasks(ctx context.Context) error {
	if c.isSink() {
		return nil
	}
	return c.to.opened.do(ctx, func() error {
		claims := c.shared().claims()
		for held := (*heldError)(nil); errors.As(c.o.claims.take(c.config.Name, claims), &held); {
			c.log.Info("the tasks wait until another connector has ended on this worker", "reason", held)
			select {
			case <-held.freed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.to.transactional = c.transactional(claims); c.to.transactional > 0 {
			if err := c.fence(ctx, len(c.crew.layout)); err != nil {
				return err
			}
		}
		if err := c.openOffsets(ctx); err != nil {
			return err
		}
		return c.openAdmin()
	})
}
