package resolved

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Action is what a reload does with a connector.
type Action string

const (
	NoChange      Action = "nothing"
	UpdateInPlace Action = "in place" // UpdateInPlace applies the settings to the running tasks
	Restart       Action = "restart"  // Restart stops the tasks and creates new ones
	Create        Action = "create"
	Remove        Action = "remove" // Remove stops the connector; its offsets stay
	// Reject keeps the previous configuration running. A connector without one is FAILED.
	Reject Action = "refuse"
)

// inPlaceRoles are the roles of settings that a running HTTP client can change. A role that ends in a dot includes all
// roles below it. Address and user are not among them: a source's offsets belong to both (RATIONALE.md P7).
var inPlaceRoles = []string{role.Password, role.ConnectTimeoutMS, role.ReadTimeoutMS, role.MaxConcurrent,
	role.RequestsPerSecond, role.MaintenanceWindows, role.TLS, role.Retry}

// compare returns how a new configuration replaces the written settings of a running connector, and which differ.
func compare(written map[string]string, connector *Connector) (action Action, settings []string) {
	if settings = config.ChangedKeys(written, connector.Raw()); len(settings) == 0 {
		return NoChange, nil
	}
	declarations := connector.Class.Component.Table()
	for key, value := range written {
		spec, ok := declarations.Find(key)
		if ok && spec.Role() == role.Destination && setting.Trim(value) != "" { // the client has settings of it, too
			return Restart, settings
		}
	}
	for _, key := range settings {
		spec, ok := declarations.Find(key)
		roleName := spec.Role()
		if !ok || !slices.ContainsFunc(inPlaceRoles, func(r string) bool {
			return roleName == r || (strings.HasSuffix(r, ".") && strings.HasPrefix(roleName, r))
		}) {
			return Restart, settings
		}
	}
	return UpdateInPlace, settings
}

// RunningConnector is a connector of a worker.
type RunningConnector struct {
	Name      string
	File      string
	Raw       map[string]string // the settings as written
	Config    *Connector        // the configuration that it was started with. Nil means unknown.
	Rejected  bool              // true if it never ran because its configuration is invalid
	HasFailed bool              // true if it or a task has failed, so that any change restarts it
}

// Change is a step of a reload for one connector.
type Change struct {
	Name     string
	Action   Action
	Settings []string // the changed settings of UpdateInPlace and Restart
	// Connector is the new configuration, nil for Remove. Problems are its problems; with NoChange only new ones,
	// because a folder is scanned every few seconds.
	Connector    *Connector
	Problems     config.Problems
	KeepsRunning bool // true for Reject if the previous configuration continues to run
}

// isCopyOf reports whether both share their entries, so that no setting differs. c may be nil.
func (c *Connector) isCopyOf(other *config.Connector) bool {
	return c != nil && c.Name == other.Name && len(c.Entries) > 0 && len(c.Entries) == len(other.Entries) &&
		&c.Entries[0] == &other.Entries[0]
}

// Diff compares the running connectors with those in the files and yields a change for each: for a file when it was
// checked, in the order of the files, then removals by name, because any file may keep a connector running whose name
// it no longer has. check is called for connectors that differ.
func Diff(have []RunningConnector, files []*Connector, check func(*Connector) config.Problems) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		runningByName := map[string]RunningConnector{}
		for _, running := range have {
			runningByName[running.Name] = running
		}
		unnamed := maps.Clone(runningByName) // connectors that no file names
		for _, connector := range files {
			delete(unnamed, connector.Name)
		}
		for _, connector := range files {
			running, ok := runningByName[connector.Name]
			change := Change{Name: connector.Name, Action: Create, Connector: connector, Problems: connector.Problems}
			if ok {
				change = changeOf(running, connector)
			}
			if change.Action != NoChange && connector.Problems.Err() == nil {
				change.Problems = append(slices.Clone(connector.Problems), check(connector)...)
			}
			if change.Problems.Err() == nil && ok && running.Rejected {
				change.Action = Restart // it exists as FAILED
			}
			changes := []Change{change}
			if change.Problems.Err() != nil {
				changes = reject(connector.WithProblems(change.Problems), running, unnamed)
			}
			for _, change := range changes {
				if !yield(change) {
					return
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(unnamed)) {
			if !yield(Change{Name: name, Action: Remove}) {
				return
			}
		}
	}
}

// changeOf returns the change of a running connector, before the new configuration is checked.
func changeOf(running RunningConnector, connector *Connector) Change {
	change := Change{Name: connector.Name, Action: Create, Connector: connector, Problems: connector.Problems}
	if running.Rejected || connector.Problems.Err() != nil { // Diff replaces the action
		return change
	}
	change.Action = NoChange
	if !running.Config.isCopyOf(connector.Connector) {
		change.Action, change.Settings = compare(running.Raw, connector)
	}
	switch {
	case change.Action == UpdateInPlace && running.HasFailed:
		change.Action = Restart
	case change.Action == NoChange && running.Config != nil:
		change.Problems = slices.DeleteFunc(slices.Clone(connector.Problems), func(p config.Problem) bool {
			return slices.Contains(running.Config.Problems, p)
		})
	}
	return change
}

// reject keeps the connectors of an invalid file running: the connector of its name (running, zero if there is none),
// and connectors from the files of its problems whose names no file has, since the names in these may be wrong, too. It
// deletes the latter from unnamed.
func reject(connector *Connector, running RunningConnector, unnamed map[string]RunningConnector) (changes []Change) {
	add := func(name string, keepsRunning bool) {
		changes = append(changes, Change{Name: name, Action: Reject, Connector: connector,
			Problems: connector.Problems, KeepsRunning: keepsRunning})
	}
	if running.Name != "" {
		add(running.Name, !running.Rejected)
	}
	for _, name := range slices.Sorted(maps.Keys(unnamed)) {
		other := unnamed[name]
		isOf := other.File == connector.File || slices.ContainsFunc(connector.Problems,
			func(p config.Problem) bool { return !p.Warning && p.File == other.File })
		if isOf && !other.Rejected {
			delete(unnamed, name)
			add(name, true)
		}
	}
	if len(changes) == 0 {
		add(connector.Name, false)
	}
	return changes
}
