package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Action is what another configuration means for a connector.
type Action string

const (
	// NoChange: no setting is another one.
	NoChange Action = "nothing"
	// UpdateInPlace: its tasks take the settings while they run.
	UpdateInPlace Action = "in place"
	// Restart: its tasks are made again, when those before have stopped.
	Restart Action = "restart"
	// Create: it is a new one.
	Create Action = "create"
	// Remove: it is stopped and forgotten; its offsets stay.
	Remove Action = "remove"
	// Reject: the configuration is bad. What ran before it goes on; a connector that did not run is FAILED.
	Reject Action = "refuse"
)

// placeRoles are settings that the HTTP client of a connector takes while it works. A role that ends in a dot stands
// for all below it. Where the requests go is none of them: positions of a source belong to one service.
var placeRoles = []string{role.User, role.Password, role.ConnectTimeoutMS, role.ReadTimeoutMS, role.MaxConcurrent,
	role.RequestsPerSecond, role.MaintenanceWindows, role.TLS, role.Retry}

// ChangedKeys returns the names of the settings that differ between two configurations or are missing in one, sorted.
func ChangedKeys(before, after map[string]string) (names []string) {
	for name, value := range after {
		if was, there := before[name]; !there || was != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// compare returns the effect of changing a connector's settings from written to those of c, and the names of the
// settings that differ. declared returns the declarations of the connector's plugin; it is called if settings differ.
func compare(written map[string]string, c *Connector, declared func(*Connector) *Declarations) (e Action,
	settings []string) {
	if settings = ChangedKeys(written, c.Raw()); len(settings) == 0 {
		return NoChange, nil
	}
	d := declared(c)
	if _, byDestination := find(d, written, role.Destination); byDestination {
		return Restart, settings
	}
	for _, key := range settings {
		spec, ok := d.Find(key)
		role := spec.Role()
		if !ok || !slices.ContainsFunc(placeRoles, func(r string) bool {
			return role == r || strings.HasSuffix(r,
				".") && strings.HasPrefix(role, r)
		}) {
			return Restart, settings
		}
	}
	return UpdateInPlace, settings
}

// find is the setting of a role that is given.
func find(d *Declarations, written map[string]string, role string) (name string, ok bool) {
	for key, value := range written {
		if spec, declared := d.Find(key); declared && spec.Role() == role && setting.Trim(value) != "" {
			return key, true
		}
	}
	return "", false
}

// RunningConnector is a connector that a worker has.
type RunningConnector struct {
	// Name, and File where its configuration stands.
	Name, File string
	// Raw are its settings as they were written.
	Raw map[string]string
	// Given is the configuration that it was given, nil where that is unknown: the same one need not be compared.
	Config *Connector
	// Rejected: it never ran, because its configuration is bad.
	Rejected bool
	// HasFailed: it or one of its tasks has failed, so a change restarts it even where it could be made in place.
	HasFailed bool
}

// Change is what a reload does about a connector.
type Change struct {
	Name   string
	Action Action
	// Settings are those that differ, for InPlace and Restart.
	Settings []string
	// Connector is its configuration in the files; nil for Remove. Problems are its, with Refuse errors among them, and
	// with Nothing only those that its configuration did not have before: a folder is looked at every few seconds.
	Connector *Connector
	Problems  Problems
	// KeepsRunning: with Refuse, it ran before and goes on.
	KeepsRunning bool
}

// same tells whether two connectors are copies of one that was read: of two that were not, nothing is known.
func (c *Connector) same(other *Connector) bool {
	return c != nil && c.Name == other.Name && len(c.Entries) > 0 && len(c.Entries) == len(other.Entries) &&
		&c.Entries[0] == &other.Entries[0]
}

// Diff is what it takes to bring a worker from the connectors that it has to those in the files, by name. check finds
// the problems of a connector that is not the one that runs; declared are the declarations of its plugin.
func Diff(have []RunningConnector, files []*Connector, check func(*Connector) Problems,
	declared func(*Connector) *Declarations) []Change {
	by := map[string]RunningConnector{}
	for _, n := range have {
		by[n.Name] = n
	}
	steps := map[string]Change{}
	bad := map[string]*Connector{} // by file, those of which nobody knows for sure which connector they are meant for
	var broken []*Connector
	for _, c := range files {
		now, there := by[c.Name]
		step := Change{Name: c.Name, Action: Create, Connector: c, Problems: c.Problems}
		if there && !now.Rejected && c.Problems.Err() == nil {
			if step.Action = NoChange; !now.Config.same(c) {
				step.Action, step.Settings = compare(now.Raw, c, declared)
			}
			switch {
			case step.Action == UpdateInPlace && now.HasFailed:
				step.Action = Restart
			case step.Action == NoChange && now.Config != nil:
				step.Problems = slices.DeleteFunc(slices.Clone(c.Problems), func(p Problem) bool {
					return slices.Contains(now.Config.Problems, p)
				})
			}
		}
		if step.Action != NoChange && c.Problems.Err() == nil {
			step.Problems = append(slices.Clone(c.Problems), check(c)...)
		}
		if step.Problems.Err() == nil {
			if there && now.Rejected {
				step.Action = Restart
			}
			steps[c.Name] = step
			continue
		}
		refused := *c
		refused.Problems = step.Problems
		broken = append(broken, &refused)
		for _, p := range step.Problems {
			if !p.Warning {
				bad[p.File] = &refused
			}
		}
		bad[c.File] = &refused
	}
	// A bad file's connector goes on: the one of its name, else the one that came from the file.
	meant := map[*Connector]bool{}
	for _, n := range have {
		if _, planned := steps[n.Name]; planned {
			continue
		}
		i := slices.IndexFunc(broken, func(c *Connector) bool { return c.Name == n.Name })
		c := bad[n.File]
		if i >= 0 {
			c = broken[i]
		}
		switch {
		case c == nil || n.Rejected && i < 0:
			steps[n.Name] = Change{Name: n.Name, Action: Remove}
		default:
			meant[c] = true
			steps[n.Name] = Change{Name: n.Name, Action: Reject, Connector: c, Problems: c.Problems,
				KeepsRunning: !n.Rejected}
		}
	}
	for _, c := range broken {
		if _, planned := steps[c.Name]; !planned && !meant[c] {
			steps[c.Name] = Change{Name: c.Name, Action: Reject, Connector: c, Problems: c.Problems}
		}
	}
	var plan []Change
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		plan = append(plan, steps[name])
	}
	return plan
}
