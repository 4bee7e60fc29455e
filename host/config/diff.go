package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Effect is what another configuration means for a connector.
type Effect string

const (
	// Nothing: no setting is another one.
	Nothing Effect = "nothing"
	// InPlace: its tasks take the settings while they run.
	InPlace Effect = "in place"
	// Restart: its tasks are made again, when those before have stopped.
	Restart Effect = "restart"
	// Create: it is a new one.
	Create Effect = "create"
	// Remove: it is stopped and forgotten; its offsets stay.
	Remove Effect = "remove"
	// Refuse: the configuration is bad. What ran before it goes on; a connector that did not run is FAILED.
	Refuse Effect = "refuse"
)

// placeRoles are settings that the HTTP client of a connector takes while it works. A role that ends in a dot stands
// for all below it. Where the requests go is none of them: positions of a source belong to one service.
var placeRoles = []string{role.User, role.Password, role.ConnectTimeoutMS, role.ReadTimeoutMS, role.MaxConcurrent,
	role.RequestsPerSecond, role.MaintenanceWindows, role.TLS, role.Retry}

// Differing returns the names of the settings that differ between two configurations or are missing in one, sorted.
func Differing(before, after map[string]string) (names []string) {
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
func compare(written map[string]string, c *Connector, declared func(*Connector) *Declarations) (e Effect,
	settings []string) {
	if settings = Differing(written, c.Raw()); len(settings) == 0 {
		return Nothing, nil
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
	return InPlace, settings
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

// Now is a connector that a worker has.
type Now struct {
	// Name, and File where its configuration stands.
	Name, File string
	// Written are its settings as they were written.
	Written map[string]string
	// Given is the configuration that it was given, nil where that is unknown: the same one need not be compared.
	Given *Connector
	// Refused: it never ran, because its configuration is bad.
	Refused bool
	// Unsettled: it or one of its tasks has failed, so a change restarts it even where it could be made in place.
	Unsettled bool
}

// Step is what a reload does about a connector.
type Step struct {
	Name   string
	Effect Effect
	// Settings are those that differ, for InPlace and Restart.
	Settings []string
	// Connector is its configuration in the files; nil for Remove. Problems are its, with Refuse errors among them, and
	// with Nothing only those that its configuration did not have before: a folder is looked at every few seconds.
	Connector *Connector
	Problems  Problems
	// Goes: with Refuse, it ran before and goes on.
	Goes bool
}

// same tells whether two connectors are copies of one that was read: of two that were not, nothing is known.
func (c *Connector) same(other *Connector) bool {
	return c != nil && c.Name == other.Name && len(c.Entries) > 0 && len(c.Entries) == len(other.Entries) &&
		&c.Entries[0] == &other.Entries[0]
}

// Plan is what it takes to bring a worker from the connectors that it has to those in the files, by name. check finds
// the problems of a connector that is not the one that runs; declared are the declarations of its plugin.
func Plan(have []Now, files []*Connector, check func(*Connector) Problems,
	declared func(*Connector) *Declarations) []Step {
	by := map[string]Now{}
	for _, n := range have {
		by[n.Name] = n
	}
	steps := map[string]Step{}
	bad := map[string]*Connector{} // by file, those of which nobody knows for sure which connector they are meant for
	var broken []*Connector
	for _, c := range files {
		now, there := by[c.Name]
		step := Step{Name: c.Name, Effect: Create, Connector: c, Problems: c.Problems}
		if there && !now.Refused && c.Problems.Err() == nil {
			if step.Effect = Nothing; !now.Given.same(c) {
				step.Effect, step.Settings = compare(now.Written, c, declared)
			}
			switch {
			case step.Effect == InPlace && now.Unsettled:
				step.Effect = Restart
			case step.Effect == Nothing && now.Given != nil:
				step.Problems = slices.DeleteFunc(slices.Clone(c.Problems), func(p Problem) bool {
					return slices.Contains(now.Given.Problems, p)
				})
			}
		}
		if step.Effect != Nothing && c.Problems.Err() == nil {
			step.Problems = append(slices.Clone(c.Problems), check(c)...)
		}
		if step.Problems.Err() == nil {
			if there && now.Refused {
				step.Effect = Restart
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
		case c == nil || n.Refused && i < 0:
			steps[n.Name] = Step{Name: n.Name, Effect: Remove}
		default:
			meant[c] = true
			steps[n.Name] = Step{Name: n.Name, Effect: Refuse, Connector: c, Problems: c.Problems, Goes: !n.Refused}
		}
	}
	for _, c := range broken {
		if _, planned := steps[c.Name]; !planned && !meant[c] {
			steps[c.Name] = Step{Name: c.Name, Effect: Refuse, Connector: c, Problems: c.Problems}
		}
	}
	var plan []Step
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		plan = append(plan, steps[name])
	}
	return plan
}
