package host

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit"
)

// Difference returns what a reload of the files of c would do to a worker, without connectors that would not change. It
// sends nothing itself: have returns the worker's connectors, and gets the URL of REST in the files as a default. The
// error is have's, or that of a file that cannot be read.
func Difference(ctx context.Context, c Config, have func(rest string) ([]config.RunningConnector,
	error)) ([]rest.Comparison,
	error) {
	h, problems, err := open(ctx, c, false)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	h.examineOffline(ctx, false)
	for _, p := range problems {
		h.log.Warn("the worker's own settings are no part of a reload", "problem", p.String())
	}
	now, err := have(restURL(h.in.Worker))
	if err != nil {
		return nil, err
	}
	written := map[string]map[string]string{}
	for _, n := range now {
		unhide(n, h.in.Connectors)
		written[n.Name] = n.Raw
	}
	all := []rest.Comparison{}
	checked := func(*config.Connector) config.Problems { return nil }
	for _, step := range config.Diff(now, h.in.Connectors, checked, h.checker.Declared) {
		if step.Action == config.NoChange {
			continue
		}
		found := rest.Comparison{Change: changeOf(step), Differences: []rest.Difference{}}
		if len(step.Settings) > 0 {
			declared := h.checker.Declared(step.Connector)
			found.Differences = differences(written[step.Name], step.Connector.Raw(),
				func(key string) bool { return config.IsPassword(key, declared) })
		}
		all = append(all, found)
	}
	return all, nil
}

// unhide takes what a worker hides for equal to what the files say: nobody can tell.
func unhide(n config.RunningConnector, connectors []*config.Connector) {
	for _, c := range connectors {
		if c.Name != n.Name {
			continue
		}
		for key, value := range c.Raw() {
			if n.Raw[key] == config.Mask {
				n.Raw[key] = value
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

// Compare is what it would mean to store a configuration; nothing is changed. masked: who asks sees no passwords, and
// finds none by trying, since one that is sent in clear counts as another one. Its service is asked about feeds while
// others may change connectors.
func (w worker) Compare(ctx context.Context, name string, given rest.Given, masked bool) (out rest.Comparison,
	err error) {
	r, err := w.changing(ctx)
	if err != nil {
		return out, err
	}
	e, err := w.compare(ctx, r, name, given, masked, &out)
	r.applying.Unlock()
	if err == nil && e.unknown == nil && out.Effect != config.NoChange && out.Effect != config.Reject {
		w.compareFeeds(ctx, e, &out)
	}
	return out, cmp.Or(err, ctx.Err())
}

func (w worker) compare(ctx context.Context, r *reloader, name string, given rest.Given, masked bool,
	out *rest.Comparison) (examined, error) {
	e, err := w.examine(ctx, r, name, given)
	var refusal *rest.Refusal
	if errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest {
		e.wrong, err = []string{refusal.Message}, nil
	}
	if err != nil {
		return e, err
	}
	password, there := w.Passwords(), e.unknown == nil
	out.Connector, out.Effect, out.Differences = name, config.Reject, []rest.Difference{}
	out.Problems = e.wrong
	for _, p := range e.warnings {
		out.Warnings = append(out.Warnings, check.Told(p))
	}
	var have []config.RunningConnector
	if there {
		have = []config.RunningConnector{e.now}
		out.File, out.GoesOn = e.now.File, len(e.wrong) > 0 && !e.now.Rejected
		w.compareStored(r, e.now, out, password)
	}
	if e.kept == nil {
		e.kept = r.store.CheckWritable(name, "")
	}
	if e.kept != nil {
		out.Kept = e.kept.Error()
	}
	if e.connector == nil {
		return e, nil
	}
	for key, value := range given.Settings {
		if masked && value != "" && e.now.Raw[key] == value && password(key) && !config.IsReference(value) {
			e.now.Raw[key] = config.Mask
		}
	}
	out.Differences = differences(e.now.Raw, e.connector.Raw(), password)
	for _, d := range out.Differences {
		if there {
			out.Settings = append(out.Settings, d.Setting)
		}
	}
	if len(e.wrong) == 0 {
		none := func(*config.Connector) config.Problems { return nil }
		out.Effect = config.Diff(have, []*config.Connector{e.connector}, none, r.checker.Declared)[0].Action
	}
	return e, nil
}

// compareStored compares what runs with what is stored.
func (w worker) compareStored(r *reloader, now config.RunningConnector, out *rest.Comparison,
	password func(string) bool) {
	stored := r.stored(now.Name)
	r.mu.Lock()
	out.StoredProblem = r.refused[now.Name]
	r.mu.Unlock()
	out.Version = stored.Version
	if err := stored.Problems.Err(); err != nil {
		out.StoredProblem = err.Error()
	} else if stored.Name == now.Name {
		out.Stored = differences(now.Raw, stored.Raw(), password)
	}
}

// compareFeeds finds the feeds of a source that runs whose offsets would not belong to them any more.
func (w worker) compareFeeds(ctx context.Context, e examined, out *rest.Comparison) {
	c, checker := e.connector, w.host.checking()
	if _, _, err := check.Find(checker.Plugins, c.Text("connector.class"), "", wit.ComponentSource); err != nil {
		return // it is a sink
	}
	c.Problems = append(c.Problems, e.sent.MisdirectedSecrets()...) // for which no service is asked
	err := errors.New("its service is not asked")
	var feeds []wit.Feed
	if w.mayAsk(ctx, c) {
		checker.Wait, checker.Logon = check.OnlineTime, e.sent.HasCompleteCredentials()
		feeds, err = checker.Feeds(ctx, c)
	}
	var changed map[string][]string
	if err == nil {
		changed, err = w.herder().ChangedFeeds(ctx, c.Name, feeds)
	}
	if err != nil {
		out.Warnings = append(out.Warnings, "which feeds would be read again is not known: "+err.Error())
		return
	}
	for _, f := range feeds {
		if differs := changed[f.Name]; differs != nil {
			effect := map[wit.MismatchPolicy]string{wit.MismatchFail: "fail", wit.MismatchReload: "reload",
				wit.MismatchKeep: "keep"}[f.OnMismatch]
			out.Feeds = append(out.Feeds, rest.FeedChange{Feed: f.Name, Effect: effect, Differs: differs})
		}
	}
}

// differences are those between two configurations, by setting.
func differences(before, after map[string]string, password func(key string) bool) []rest.Difference {
	all := []rest.Difference{}
	for _, name := range config.ChangedKeys(before, after) {
		d := rest.Difference{Setting: name, Secret: password(name)}
		value := func(settings map[string]string) *string {
			v, there := settings[name]
			switch {
			case !there:
				return nil
			case d.Secret && v != "":
				v = config.Mask
			}
			return &v
		}
		d.Before, d.After = value(before), value(after)
		all = append(all, d)
	}
	return all
}

// changeOf returns a step of a plan as REST shows it.
func changeOf(step config.Change) rest.Change {
	c := rest.Change{Connector: step.Name, Effect: step.Action, Settings: step.Settings, GoesOn: step.KeepsRunning}
	if step.Connector != nil {
		c.File = step.Connector.File
	}
	for _, p := range step.Problems {
		if !p.Warning {
			c.Problems = append(c.Problems, p.String())
		}
	}
	return c
}
