package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// changing is the reloader of a worker whose connectors may be changed, locked; whoever has it unlocks applying.
// It waits for others no longer than its request does.
func (w worker) changing(ctx context.Context) (*reloader, error) {
	now := w.host.now()
	r, herder := now.reloads, now.herder
	switch {
	case w.host.config.Once:
		return nil, &rest.Refusal{Status: http.StatusMethodNotAllowed,
			Message: "Nothing is made, changed or deleted by REST in a run with --once"}
	case r == nil || herder == nil:
		return nil, rest.Starting
	}
	if r.applying.Lock(ctx) != nil {
		return nil, &rest.Refusal{Status: http.StatusInternalServerError, Message: "Request timed out. The worker is " +
			"currently checking or changing other connectors; nothing came of this request"}
	}
	s, looked := r.store.Snapshot()
	switch {
	case s.Problems.Err() != nil: // also at the first look: waiting alone does not mend it
		r.applying.Unlock()
		return nil, s.Problems.Err()
	case !looked:
		r.applying.Unlock()
		return nil, rest.Starting
	}
	return r, nil
}

// settle brings a connector to its configuration as it was written. It finishes though the client has gone. Other
// connectors are not looked at, however many there are: what the change means for them, such as a claim that is free
// now, is found by the reload that follows each writing.
func (r *reloader) settle(ctx context.Context, name string) {
	s, _ := r.store.Snapshot()
	var have []config.Now
	if now, err := r.host.running.herder.NowOf(name); err == nil {
		have = append(have, now)
	}
	files := slices.DeleteFunc(slices.Clone(s.Connectors), func(c *config.Connector) bool { return c.Name != name })
	r.bring(context.WithoutCancel(ctx), s, have, files)
}

// kept answers a change of a connector whose file cannot be changed as a conflict, and one that no file can hold as
// invalid.
func kept(err error) error {
	var k *config.ErrKept
	var u *config.ErrUnfit
	switch {
	case errors.As(err, &k):
		return &rest.Refusal{Status: http.StatusConflict, Message: k.Error()}
	case errors.As(err, &u):
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(u.Error())}
	}
	return conflict(err)
}

// own refuses a change of a connector whose file is not its own any more: it runs on as it was, and the file waits for
// its author.
func (r *reloader) own(now config.Now) error {
	if f := r.host.now().folder; f != nil {
		if err := f.holds(now.Name); err != nil {
			return kept(err)
		}
	}
	if holds := r.store.Holds(now.File); holds != "" && holds != now.Name {
		return &rest.Refusal{Status: http.StatusConflict,
			Message: fmt.Sprintf("Connector %s runs on as it was, and its file %s holds something else: mend or "+
				"remove the file first", now.Name, now.File)}
	}
	return nil
}

// Create makes a connector that is not there yet.
func (w worker) Create(ctx context.Context, name string, settings map[string]string, null []string,
	target connect.TargetState) (connect.Info, error) {
	r, err := w.changing(ctx)
	if err != nil {
		return connect.Info{}, err
	}
	defer r.applying.Unlock()
	if err := w.write(ctx, r, name, settings, settings, null, &target); err != nil {
		return connect.Info{}, err
	}
	return w.written(name, true), nil
}

// Put gives a connector a configuration; created: it was not there.
func (w worker) Put(ctx context.Context, name string, settings map[string]string,
	null []string) (info connect.Info, created bool, err error) {
	r, err := w.changing(ctx)
	if err != nil {
		return info, false, err
	}
	defer r.applying.Unlock()
	before, unknown := w.herder().NowOf(name)
	if err := w.write(ctx, r, name, settings, settings, null, nil); err != nil {
		return info, false, err
	}
	created = unknown != nil
	if err := w.startedAgain(name, before, created); err != nil {
		return info, false, err
	}
	return w.written(name, created), created, nil
}

// Patch changes some settings of a connector, and takes some out.
func (w worker) Patch(ctx context.Context, name string, set map[string]string, out []string) (connect.Info, error) {
	r, err := w.changing(ctx)
	if err != nil {
		return connect.Info{}, err
	}
	defer r.applying.Unlock()
	now, err := w.herder().NowOf(name)
	if err != nil {
		return connect.Info{}, err
	}
	settings := maps.Clone(now.Written)
	maps.Copy(settings, set)
	for _, key := range out {
		delete(settings, key)
	}
	if _, named := settings["name"]; !named {
		return connect.Info{}, &rest.Refusal{Status: http.StatusBadRequest,
			Message: rest.Invalid(setting.Missing("name"))}
	}
	if err := w.write(ctx, r, name, settings, set, nil, nil); err != nil {
		return connect.Info{}, err
	}
	if err := w.startedAgain(name, now, false); err != nil {
		return connect.Info{}, err
	}
	return w.written(name, false), nil
}

// startedAgain starts a connector again that has failed and whose configuration was written once more as it was: Kafka
// Connect does so with each that is written, and whoever writes the same wants that.
func (w worker) startedAgain(name string, before config.Now, created bool) error {
	now, _ := w.herder().NowOf(name)
	if created || before.Refused || !maps.Equal(before.Written, now.Written) {
		return nil
	}
	if s, err := w.herder().Status(name); err == nil && s.Connector.State == connect.Failed {
		return w.herder().Restart(name)
	}
	return nil
}

// Delete stops a connector and removes its file; its offsets stay.
func (w worker) Delete(ctx context.Context, name string) error {
	r, err := w.changing(ctx)
	if err != nil {
		return err
	}
	defer r.applying.Unlock()
	now, err := w.herder().NowOf(name)
	if err != nil {
		return err
	}
	if err := r.own(now); err != nil {
		return err
	}
	if err := r.store.Delete(ctx, name); err != nil {
		return kept(err)
	}
	r.settle(ctx, name)
	return nil
}

// write checks a configuration and, where it is good, stores it and has it run. given are those of its settings that
// the request brings. What is checked is what is stored. null are settings without a value. target is the state of a
// connector that must be a new one, nil where it may be there and keeps its own: that it is there is said, as by Kafka
// Connect, when the configuration is known to be a good one.
func (w worker) write(ctx context.Context, r *reloader, name string, settings, given map[string]string, null []string,
	target *connect.TargetState) error {
	if other, ok := settings["name"]; ok && other != name {
		return &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Connector name configuration (" + other + ") doesn't match connector name in the URL (" + name +
				")"}
	}
	settings["name"] = name
	full, err := w.unmasked(name, settings)
	if err != nil {
		return err
	}
	checker := w.host.checking()
	c := w.connector("the request", full)
	if err := classGiven(c); err != nil {
		return err
	}
	if _, err := classOf(checker, c); err != nil {
		return err
	}
	wrongName := rest.CheckName(name)
	if wrongName == "" && c.Name != name { // it would be stored under the name that it is read with
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(setting.Invalid("name", name,
			"expected a name, found a reference to a config provider"))}
	}
	now, unknown := w.herder().NowOf(name)
	if unknown == nil {
		if err := r.own(now); err != nil {
			return err
		}
	}
	var wrong []string
	if wrongName != "" {
		wrong = append(wrong, wrongName)
	}
	said := func(key string) bool { return key == "name" && len(wrong) > 0 || slices.Contains(null, key) }
	var more []string
	for _, p := range slices.Concat(c.Problems, w.host.in.Worker.ClearText(c, w.Passwords()),
		w.sent(checker, c, given).Astray(), checker.Check(ctx, c), w.host.elsewhere(ctx, c)) {
		if !p.Warning && !said(p.Setting) {
			more = append(more, check.Told(p))
		}
	}
	wrong = slices.Concat(wrong, slices.Repeat([]string{rest.NullValue}, len(null)), more)
	switch {
	case ctx.Err() != nil:
		return cutOff(ctx)
	case len(wrong) > 0:
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(wrong...)}
	}
	stored := config.Stored{Connector: c}
	switch {
	case target != nil && unknown == nil:
		return &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + name + " already exists"}
	case target != nil:
		stored.Target = targetName(*target)
	case unknown != nil: // whatever was asked of an earlier one of its name
		stored.Target = config.TargetStarted
	}
	if err := r.store.Put(ctx, name, stored); err != nil {
		return kept(err)
	}
	r.settle(ctx, name)
	return nil
}

// written is what is answered of a connector that was written: with its tasks, which a new one does not have yet.
func (w worker) written(name string, created bool) connect.Info {
	h := w.herder()
	info, _ := h.Info(name)
	info.Name = name
	if created || info.Tasks == nil {
		info.Tasks = []connect.TaskID{}
	}
	return info
}
