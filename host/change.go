package host

import (
	"context"
	"errors"
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
	if w.host.config.Once {
		return nil, &rest.Refusal{Status: http.StatusMethodNotAllowed,
			Message: "Nothing is made, changed or deleted by REST in a run with --once"}
	}
	r := w.host.now().reloads
	if r.applying.Lock(ctx) != nil {
		return nil, &rest.Refusal{Status: http.StatusInternalServerError, Message: "Request timed out. The worker is " +
			"currently checking or changing other connectors; nothing came of this request"}
	}
	s, _ := r.store.Snapshot()
	if err := s.Problems.Err(); err != nil { // also at the first look
		r.applying.Unlock()
		return nil, err
	}
	return r, nil
}

// settle applies the stored configuration of a connector, which was checked and has only warnings. It finishes even if
// the client has disconnected. It does not look at other connectors: the reload after each write finds what the change
// means for them, such as a claim that is now free.
func (r *reloader) settle(ctx context.Context, name string, warnings config.Problems) {
	s, _ := r.store.Snapshot()
	var have []config.RunningConnector
	if now, err := r.host.running.herder.RunningConfig(name); err == nil {
		have = append(have, now)
	}
	files := slices.DeleteFunc(slices.Clone(s.Connectors), func(c *config.Connector) bool { return c.Name != name })
	known := func(_ context.Context, c *config.Connector) (placed config.Problems) {
		for _, p := range warnings {
			placed = append(placed, c.Locate(p))
		}
		return placed
	}
	r.bring(context.WithoutCancel(ctx), s, have, files, known, nil)
}

// kept answers a change of a connector that has a file as a conflict, and one that is too large as invalid.
func kept(err error) error {
	var k *config.ReadOnlyError
	var u *config.TooLargeError
	switch {
	case errors.As(err, new(*config.ChangedError)):
		return &rest.Refusal{Status: http.StatusPreconditionFailed, Message: err.Error()}
	case errors.As(err, &k):
		return &rest.Refusal{Status: http.StatusConflict, Message: k.Error()}
	case errors.As(err, &u):
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(u.Error())}
	}
	return conflict(err)
}

// takes refuses a change of a connector that has a file: it is changed there.
func (r *reloader) takes(now config.RunningConnector) error {
	if f := r.host.now().folder; f != nil {
		if err := f.holds(now.Name); err != nil {
			return kept(err)
		}
	}
	return kept(r.store.CheckWritable(now.Name, now.File))
}

// Write stores a configuration and has it run.
func (w worker) Write(ctx context.Context, name string, given rest.Given) (done rest.Written, err error) {
	var asked verdict
	if given.New == nil {
		if asked, err = w.judge(ctx, name, given); err != nil {
			return done, err
		}
	}
	r, err := w.changing(ctx)
	if err != nil {
		return done, err
	}
	defer r.applying.Unlock()
	before, unknown := w.herder().RunningConfig(name)
	switch {
	case !given.Patch:
	case unknown != nil:
		return done, unknown
	case slices.Contains(given.Null, "name"):
		return done, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(setting.Missing("name"))}
	}
	if err := w.write(ctx, r, name, given, asked); err != nil {
		return done, err
	}
	done.Created = unknown != nil
	if err := w.startedAgain(name, before, done.Created); err != nil {
		return done, err
	}
	done.Info, done.Version = w.written(name, done.Created), r.stored(name).Version
	return done, nil
}

// stored is a connector as the store has it, an empty one where it has none.
func (r *reloader) stored(name string) *config.Connector {
	s, _ := r.store.Snapshot()
	if i := slices.IndexFunc(s.Connectors, func(c *config.Connector) bool { return c.Name == name }); i >= 0 {
		return s.Connectors[i]
	}
	return &config.Connector{}
}

// Source implements [rest.Worker].
func (w worker) Source(name string, withText bool) (text []byte, version string, err error) {
	now, err := w.herder().RunningConfig(name)
	switch {
	case err != nil:
		return nil, "", err
	case w.host.clustered != nil || w.host.config.Files.IsRESTConnector(now.Config):
		return nil, now.Config.Version, nil
	case !withText:
		return nil, "", nil
	}
	text, err = config.ReadText(now.File)
	return text, "", err
}

// verdict is what a service said about a configuration. Zero means that no service was asked.
type verdict struct {
	// settings are those of the configuration that the service was asked about, as they are written.
	settings map[string]string
	// warnings are those of the check with the service, such as of an answer that did not come in time.
	warnings config.Problems
}

// judge asks the service about a change of a connector that runs before the change waits for its turn, so that no other
// change waits while a service is asked, see [worker.ask]. Whatever else is wrong is found with the change itself.
func (w worker) judge(ctx context.Context, name string, given rest.Given) (v verdict, err error) {
	r := w.host.now().reloads
	if r == nil || w.herder() == nil || w.host.config.Once {
		return v, nil
	}
	if now, unknown := w.herder().RunningConfig(name); unknown != nil || r.takes(now) != nil {
		return v, nil // nothing of it runs, or is changed
	}
	if given.Over != nil { // a change of what is another one by now
		if c := w.host.clustered; c != nil {
			if err := c.log.Refresh(ctx); err != nil {
				return v, conflict(err)
			}
		}
		if !given.Over(r.stored(name).Version) {
			return v, kept(&config.ChangedError{Connector: name})
		}
	}
	e, err := w.examine(ctx, r, name, given)
	if err != nil || e.kept != nil || len(e.wrong) > 0 {
		return v, nil
	}
	return w.ask(ctx, e)
}

// ask asks the service about a configuration without known problems, if it would replace one that runs. It rejects a
// configuration that the service finds wrong.
func (w worker) ask(ctx context.Context, e examined) (v verdict, err error) {
	if !w.mayAsk(ctx, e.connector) || !w.host.mayStop(e.connector, e.sent) {
		return v, nil
	}
	v.settings = e.connector.Raw()
	var wrong []string
	for _, p := range w.host.judge(ctx, *w.host.checking(), e.connector, e.sent) {
		if p.Warning {
			v.warnings = append(v.warnings, p)
		} else {
			wrong = append(wrong, check.Told(p))
		}
	}
	switch {
	case ctx.Err() != nil:
		return v, cutOff(ctx)
	case len(wrong) > 0:
		return v, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(wrong...)}
	}
	return v, nil
}

// settingsOf returns the settings of a connector after a request. With Patch they are its current settings, changed.
func settingsOf(now config.RunningConnector, given rest.Given) map[string]string {
	if !given.Patch {
		return maps.Clone(given.Settings)
	}
	settings := maps.Clone(now.Raw)
	maps.Copy(settings, given.Settings)
	for _, key := range given.Null {
		delete(settings, key)
	}
	return settings
}

// startedAgain starts a connector again that has failed and whose configuration was written once more as it was: Kafka
// Connect does so with each that is written, and whoever writes the same wants that.
func (w worker) startedAgain(name string, before config.RunningConnector, created bool) error {
	now, _ := w.herder().RunningConfig(name)
	if created || before.Rejected || !maps.Equal(before.Raw, now.Raw) {
		return nil
	}
	if s, err := w.herder().Status(name); err == nil && s.Connector.State == connect.Failed {
		return w.herder().Restart(name)
	}
	return nil
}

// Delete stops a connector and forgets its configuration; its offsets stay.
func (w worker) Delete(ctx context.Context, name string) error {
	r, err := w.changing(ctx)
	if err != nil {
		return err
	}
	defer r.applying.Unlock()
	now, err := w.herder().RunningConfig(name)
	if err != nil {
		return err
	}
	if err := r.takes(now); err != nil {
		return err
	}
	if err := r.store.Delete(ctx, name); err != nil {
		return kept(err)
	}
	r.settle(ctx, name, nil)
	return nil
}

// examined is a configuration that was checked, to be stored or not.
type examined struct {
	connector *config.Connector
	sent      config.ConfigChange
	// now is the connector of its name that is there, unknown says that there is none.
	now     config.RunningConnector
	unknown error
	// kept says why the one that is there cannot be changed.
	kept error
	// wrong are the problems, in Kafka Connect's words; warnings are those that are no errors.
	wrong    []string
	warnings config.Problems
}

// write checks a configuration and, if it is good, stores and applies it. It stores exactly what it has checked. A
// request to create a connector that exists is rejected only after the configuration was found good, as in Kafka
// Connect. asked is what the service answered before r.applying was held: the service is asked now if the connector has
// begun to run since, or was asked about other settings.
func (w worker) write(ctx context.Context, r *reloader, name string, given rest.Given, asked verdict) error {
	e, err := w.examine(ctx, r, name, given)
	switch {
	case err != nil:
		return err
	case e.kept != nil:
		return e.kept
	case len(e.wrong) > 0:
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(e.wrong...)}
	}
	stored := config.Stored{Connector: e.connector, IfMatch: given.Over}
	switch {
	case given.New != nil && e.unknown == nil:
		return &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + name + " already exists"}
	case given.New != nil:
		stored.Target = targetName(*given.New)
	case e.unknown != nil: // whatever was asked of an earlier one of its name
		stored.Target = config.TargetStarted
	}
	if !maps.Equal(asked.settings, e.connector.Raw()) {
		if asked, err = w.ask(ctx, e); err != nil {
			return err
		}
	}
	if c := w.host.clustered; c != nil && given.Over != nil { // what others have written counts
		if err := c.log.Refresh(ctx); err != nil {
			return conflict(err)
		}
	}
	if err := r.store.Put(ctx, name, stored); err != nil {
		return kept(err)
	}
	for _, p := range asked.warnings {
		if !slices.Contains(e.warnings, p) {
			e.warnings = append(e.warnings, p)
		}
	}
	r.settle(ctx, name, e.warnings)
	return nil
}

// examine checks a configuration, and changes nothing. The error is for one of which nothing can be said.
func (w worker) examine(ctx context.Context, r *reloader, name string, given rest.Given) (e examined, err error) {
	e.now, e.unknown = w.herder().RunningConfig(name)
	settings := settingsOf(e.now, given)
	if given.Patch {
		given.Null = nil
	}
	if other, ok := settings["name"]; ok && other != name {
		return e, &rest.Refusal{Status: http.StatusBadRequest,
			Message: "Connector name configuration (" + other + ") doesn't match connector name in the URL (" + name +
				")"}
	}
	settings["name"] = name
	c, err := w.brought(settings)
	if err != nil {
		return e, err
	}
	checker := w.host.checking()
	e.connector = c
	if err := classGiven(c); err != nil {
		return e, err
	}
	if _, err := classOf(checker, c); err != nil {
		return e, err
	}
	wrongName := rest.CheckName(name)
	if wrongName == "" && c.Name != name { // it would be stored under the name that it is read with
		return e, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(setting.Invalid("name", name,
			"expected a name, found a reference to a config provider"))}
	}
	if e.unknown == nil {
		e.kept = r.takes(e.now)
	}
	if wrongName != "" {
		e.wrong = append(e.wrong, wrongName)
	}
	said := func(key string) bool { return key == "name" && wrongName != "" || slices.Contains(given.Null, key) }
	e.sent = w.sent(checker, c, given.Settings)
	var more []string
	for _, p := range slices.Concat(c.Problems, w.host.in.Worker.ClearTextProblems(c, w.Passwords()),
		e.sent.MisdirectedSecrets(), checker.Check(ctx, c), w.host.elsewhere(ctx, c)) {
		switch {
		case p.Warning:
			e.warnings = append(e.warnings, p)
		case !said(p.Setting):
			more = append(more, check.Told(p))
		}
	}
	e.wrong = slices.Concat(e.wrong, slices.Repeat([]string{rest.NullValue}, len(given.Null)), more)
	if ctx.Err() != nil {
		return e, cutOff(ctx)
	}
	return e, nil
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
