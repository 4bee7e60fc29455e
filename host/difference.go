package host

import (
	"context"
	"net"
	"net/url"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/rest"
)

// Difference is what a reload of the files of c would do to a worker that has other connectors; have returns those, of
// the worker whose REST listens where the files say, unless it knows better. It sends nothing itself. passwords tells
// for a connector which of its settings are not to be shown. The error is for files that cannot be read, or have's.
func Difference(ctx context.Context, c Config, have func(rest string) ([]config.Now, error)) (plan []config.Step,
	passwords func(*config.Connector, string) bool, err error) {
	h, problems, err := open(ctx, c, false)
	if err != nil {
		return nil, nil, err
	}
	defer h.Close()
	h.examineOffline(ctx, false)
	for _, p := range problems {
		h.log.Warn("the worker's own settings are no part of a reload", "problem", p.String())
	}
	now, err := have(restURL(h.in.Worker))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range now {
		unhide(n, h.in.Connectors)
	}
	checked := func(*config.Connector) config.Problems { return nil }
	declared := map[string]*config.Declarations{}
	plan = config.Plan(now, h.in.Connectors, checked, func(c *config.Connector) *config.Declarations {
		declared[c.Name] = h.checks.checker.Declared(c)
		return declared[c.Name]
	})
	return plan, func(c *config.Connector, key string) bool {
		if d := declared[c.Name]; d != nil {
			return config.IsPassword(key, d)
		}
		return config.IsPassword(key)
	}, nil
}

// unhide takes what a worker hides for equal to what the files say: nobody can tell.
func unhide(n config.Now, connectors []*config.Connector) {
	for _, c := range connectors {
		if c.Name != n.Name {
			continue
		}
		for key, value := range c.Raw() {
			if n.Written[key] == config.Mask {
				n.Written[key] = value
			}
		}
	}
}

// restURL is where REST of a worker with such settings listens, seen from the same machine; "" where it does not.
func restURL(w *config.Worker) string {
	for _, l := range w.List("listeners") {
		u, err := url.Parse(l)
		if err != nil || u.Port() == "" {
			continue
		}
		if u.Hostname() == "" {
			u.Host = net.JoinHostPort("localhost", u.Port())
		}
		return "http://" + local(u.Host)
	}
	return ""
}

// Changes are what a reload of the folder would do at the moment, for REST. The files are read again, without waiting
// for those that are being written, and nothing of what runs is touched.
func (w worker) Changes(ctx context.Context) ([]rest.Change, error) {
	r, err := w.changing(ctx)
	if err != nil {
		return nil, err
	}
	defer r.applying.Unlock()
	c := w.host.config
	files, err := config.Folder(c.Files.Folder)
	if err != nil {
		return nil, err
	}
	files.Own, files.Brought = c.Files.Own, c.Files.Brought
	// A reload resolves references by what the worker runs with, whatever its file says by now.
	connectors, _, err := config.LoadConnectors(files, w.host.in.Worker.Providers)
	if err != nil {
		return nil, err
	}
	checker := r.checker.Among(connectors)
	have, check := r.host.running.herder.Now(), checker.Check
	if f := r.host.now().folder; f != nil {
		have, check = f.begin(connectors), f.check
	}
	plan := config.Plan(have, connectors, func(c *config.Connector) config.Problems {
		return check(ctx, c)
	}, checker.Declared)
	if ctx.Err() != nil {
		return nil, ctx.Err() // what a check has found was cut off
	}
	return changesOf(plan), nil
}

// changesOf are the steps of a plan that do something.
func changesOf(plan []config.Step) (all []rest.Change) {
	for _, step := range plan {
		if step.Effect == config.Nothing {
			continue
		}
		one := rest.Change{Connector: step.Name, Effect: step.Effect, Settings: step.Settings, GoesOn: step.Goes}
		if step.Connector != nil {
			one.File = step.Connector.File
		}
		for _, p := range step.Problems {
			if !p.Warning {
				one.Problems = append(one.Problems, p.String())
			}
		}
		all = append(all, one)
	}
	return all
}
