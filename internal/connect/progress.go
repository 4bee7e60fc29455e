package connect

import (
	"time"

	"github.com/culvert-project/culvert/internal/run/source"
	core "github.com/culvert-project/culvert/internal/run/task"
)

// FeedProgress is the progress of a source's feed.
type FeedProgress = source.FeedProgress

// Progress counts what a connector or a task has done since its start. REST shows the fields with a JSON name.
type Progress struct {
	Connector string         `json:"-"`
	Type      string         `json:"-"`
	State     Condition      `json:"-"` // the first one that applies to the connector or a task
	CaughtUp  bool           `json:"caught_up"`
	Rows      int64          `json:"rows"`
	Failed    int64          `json:"refused"` // rows that were rejected and tolerated
	Pages     int64          `json:"pages,omitempty"`
	Bytes     int64          `json:"bytes,omitempty"`
	Feeds     []FeedProgress `json:"feeds,omitempty"`
	Lag       int64          `json:"lag,omitempty"` // records that a sink has not committed
	// Uncertain counts records of a sink of which it is unknown whether they were written.
	Uncertain        int64 `json:"uncertain,omitempty"`
	InternalProgress `json:"-"`
}

// InternalProgress is the part of [Progress] that only metrics and the console show.
type InternalProgress struct {
	// Read counts the rows of a source's pages or the records that a sink consumed. Repeated reads count, too.
	Read         int64
	Warnings     int64
	Batches      int64
	Requests     int64
	Reencoded    int64
	LastCaughtUp time.Time // the earliest of the feeds' times; zero means never
	// LastNotified is the earliest of the feeds' times of their last notification or subscription. Zero means that no
	// feed subscribes.
	LastNotified time.Time
	Counters     core.MetricsSnapshot
	Errors       int64
	LastError    time.Time
	Refusal      core.Refusal
	IsLagKnown   bool
	Partitions   int64
	Flow         core.Flow // has no stages before the task has run
}

// Progress returns the progress of each connector, sorted by name.
func (h *Herder) Progress() []Progress {
	var progress []Progress
	for _, ctl := range h.allControllers() {
		progress = append(progress, ctl.observe().progress())
	}
	return progress
}

func (v *view) progress() Progress {
	progress := Progress{Connector: v.name, Type: v.currentRun.kind(), State: v.ownStatus().Condition,
		CaughtUp: len(v.lastTasks) > 0}
	for i := range v.lastTasks {
		task := &v.lastTasks[i]
		taskProgress := task.currentProgress()
		condition := v.taskStatus(task, &taskProgress).Condition
		if v.state != Stopped && condition.Precedence() < progress.State.Precedence() {
			progress.State = condition
		}
		progress.Rows += taskProgress.Rows
		progress.Read += taskProgress.Read
		progress.Pages += taskProgress.Pages
		progress.Bytes += taskProgress.Bytes
		progress.Lag += taskProgress.Lag
		progress.IsLagKnown = progress.IsLagKnown || taskProgress.IsLagKnown
		progress.Failed += taskProgress.Failed
		progress.Warnings += taskProgress.Warnings
		progress.Feeds = append(progress.Feeds, taskProgress.Feeds...)
		progress.CaughtUp = progress.CaughtUp && taskProgress.CaughtUp
	}
	return progress
}

// Notifications counts notifications by outcome.
func (h *Herder) Notifications() map[string]int64 { return h.shared.hub.Counts() }
