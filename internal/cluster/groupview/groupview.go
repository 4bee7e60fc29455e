// Package groupview has what the leader of a group shows of it, in REST's JSON: its members, the workers that have
// left, and the versions of plugins that it runs.
package groupview

import (
	"fmt"
	"time"
)

// Group is the leader's view of its group. Maps are by connector name (Unplaced) and by plugin name.
type Group struct {
	Group      string            `json:"group"` // group.id
	Generation int32             `json:"generation"`
	Leader     string            `json:"leader"` // the worker ID of the leader
	Members    []Member          `json:"members"`
	Former     []FormerWorker    `json:"former"`   // workers that have left or were lost in the last hour
	Unplaced   map[string]string `json:"unplaced"` // why a connector or its tasks are assigned to no worker
	Problems   []string          `json:"problems"` // of the group as a whole
	Plugins    map[string]Pin    `json:"plugins"`  // the versions that the group runs, by plugin name
	Waits      map[string]string `json:"waits"`    // why a newer version of a plugin is not used yet
}

// FormerWorker is a worker that is no member of the group any more. A new leader knows what its predecessor has sent.
type FormerWorker struct {
	WorkerID string     `json:"worker_id"`
	Name     string     `json:"name"`  // group.instance.id, or its URL
	Since    time.Time  `json:"since"` // when the leader missed it
	Left     bool       `json:"left"`  // it handed over what it ran; else it was lost
	Tasks    int        `json:"tasks"` // that wait, or waited, for it to return
	Moves    *time.Time `json:"moves"` // when its connectors and tasks move or have moved; null if none waited for it
	Text     string     `json:"text"`  // the same in words, see [FormerWorker.Describe]
}

// State returns left or lost.
func (f *FormerWorker) State() string {
	if f.Left {
		return "left"
	}
	return "lost"
}

// Describe returns a text such as "lost 3 min ago, its 12 tasks move in 1:52".
func (f *FormerWorker) Describe(now time.Time) string {
	departure := fmt.Sprintf("%s %d min ago", f.State(), int(now.Sub(f.Since).Minutes()))
	if age := now.Sub(f.Since); age < 2*time.Minute {
		departure = fmt.Sprintf("%s %d s ago", f.State(), int(age.Seconds()))
	}
	tasks := fmt.Sprintf(", its %d tasks move", f.Tasks)
	switch {
	case f.Moves == nil:
		return departure
	case !f.IsAwaited(now):
		return departure + ", other workers run its tasks"
	case f.Tasks == 1:
		tasks = ", its task moves"
	case f.Tasks == 0:
		tasks = ", its connectors move"
	}
	seconds := int(f.Moves.Sub(now).Seconds())
	return departure + tasks + fmt.Sprintf(" in %d:%02d", seconds/60, seconds%60)
}

// IsAwaited reports whether connectors or tasks wait for the worker to return.
func (f *FormerWorker) IsAwaited(now time.Time) bool { return f.Moves != nil && f.Moves.After(now) }

// Pin is the version of a plugin that all workers of a group run, with the first digits of its file's SHA-256. A
// worker without it receives no tasks with the plugin. It is also the format in the config topic.
type Pin struct {
	Version string   `json:"version"`
	Hash    string   `json:"hash"`
	Before  string   `json:"before,omitempty"` // the previous version, which runs again if this one fails
	Passed  []string `json:"passed,omitempty"` // hashes of versions that count only if no member has another one
}

// Member is the leader's view of a member: its own report when it joined the generation, and its assignment.
type Member struct {
	WorkerID   string   `json:"worker_id"`
	URL        string   `json:"url"`
	Leaving    bool     `json:"leaving"` // it hands over its assignment and receives no new one
	Connectors int      `json:"connectors"`
	Tasks      int      `json:"tasks"`
	Digest     string   `json:"folder_digest,omitempty"` // of its connector folder, "" without one
	Plugins    []Plugin `json:"plugins"`
}

// Plugin is a plugin of a member, with the first digits of its file's SHA-256.
type Plugin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
}
