package host

import (
	"time"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// Modules are the versions of plugins, for REST.
func (w worker) Modules() []rest.Module {
	var all []rest.Module
	for _, info := range w.host.modules() {
		m := rest.Module{Plugin: info.Name, Version: info.Version, Hash: info.Hash, File: info.Path,
			State: stateOf(info), Chosen: info.Chosen, Classes: []string{}}
		if info.Err != nil {
			m.Error = w.Strike(info.Err.Error())
		}
		for _, c := range info.Components {
			m.Classes = append(m.Classes, c.Name)
		}
		all = append(all, m)
	}
	return all
}

// stateOf says whether connectors get a version.
func stateOf(info plugin.Info) string {
	switch {
	case info.Err != nil:
		return "refused"
	case info.Active:
		return "active"
	case info.Kept:
		return "kept"
	}
	return "retired"
}

// Motion is how far a connector is, for REST.
func (w worker) Motion(name string) (m rest.Motion, ok bool) {
	h := w.herder()
	if h == nil {
		return m, false
	}
	f, ok := h.FiguresOf(name)
	if !ok {
		return m, false
	}
	m = rest.Motion{Name: f.Name, State: string(f.State), Type: f.Type, Tasks: []rest.TaskMotion{}}
	for _, t := range f.Tasks {
		p := t.Progress
		m.Tasks = append(m.Tasks, rest.TaskMotion{ID: t.Task, State: string(t.State), CaughtUp: p.CaughtUp,
			Rows: p.Rows, Refused: p.Failed, Pages: p.Pages, Bytes: p.Bytes, Feeds: w.feeds(p), Lag: p.Lag,
			Uncertain: p.Uncertain})
	}
	return m, true
}

func (w worker) feeds(p connect.Progress) (all []rest.FeedMotion) {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	for _, f := range p.Feeds {
		one := rest.FeedMotion{Name: f.Name, CaughtUp: f.CaughtUp, LastCaughtUp: moment(f.LastUp),
			NextRun: moment(f.Due), Notifications: f.Notifications}
		if !f.LastUp.IsZero() {
			age := max(time.Since(f.LastUp), 0).Seconds()
			one.AgeSeconds = &age
		}
		if r := f.Request; !r.At.IsZero() {
			one.LastRequest = &rest.FeedRequest{Request: w.Strike(r.What), At: r.At.UTC(), Status: int(r.Status),
				Milliseconds: r.Took.Milliseconds()}
		}
		one.Snapshots = f.Snapshots
		if s := f.Snapshot; !s.At.IsZero() {
			one.LastSnapshot = &rest.FeedSnapshot{Snapshot: s.Ident, At: s.At.UTC(), Begun: s.Begun}
		}
		if e := f.Fault; !e.At.IsZero() {
			one.LastError = &rest.FeedError{At: e.At.UTC(), Code: e.Code, Message: w.Strike(e.Message)}
		}
		if !f.Subscribed.IsZero() {
			at := f.Subscribed.UTC()
			one.Subscribed = &at
		}
		if !f.Told.IsZero() {
			at := f.Told.UTC()
			one.LastNotified = &at
		}
		all = append(all, one)
	}
	return all
}

// LookAgain has the folder of connectors read again, where the worker follows one.
func (w worker) LookAgain() bool {
	if _, follows := w.Reload(); !follows {
		return false
	}
	w.host.Reload()
	return true
}
