package restbackend

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// lockForChange locks the reloader, which the caller unlocks. It waits no longer than ctx.
func (b *Backend) lockForChange(ctx context.Context) (*reload.Reloader, error) {
	if b.Config.Once {
		return nil, &rest.Refusal{Status: http.StatusMethodNotAllowed,
			Message: "A run with --once does not allow REST to create, change or delete connectors"}
	}
	r := b.Parts.Get().Reloader
	if r.Lock.Lock(ctx) != nil {
		return nil, &rest.Refusal{Status: http.StatusInternalServerError, Message: "Request timed out. The worker is " +
			"currently checking or changing other connectors; this request had no effect"}
	}
	s, _ := r.Store().Snapshot()
	if err := s.Problems.Err(); err != nil { // also of the first scan
		r.Lock.Unlock()
		return nil, err
	}
	return r, nil
}

func asRESTError(err error) error {
	var readOnly *config.ReadOnlyError
	var tooLarge *config.TooLargeError
	switch {
	case errors.As(err, new(*config.ChangedError)):
		return &rest.Refusal{Status: http.StatusPreconditionFailed, Message: err.Error()}
	case errors.As(err, &readOnly):
		return &rest.Refusal{Status: http.StatusConflict, Message: readOnly.Error()}
	case errors.As(err, &tooLarge):
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(tooLarge.Error())}
	}
	return group.AsRESTError(err)
}

func (b *Backend) checkOwnership(r *reload.Reloader, running resolved.RunningConnector) error {
	if err := b.Group.CheckOwnership(running.Name); err != nil {
		return asRESTError(err)
	}
	return asRESTError(r.Store().CheckWritable(running.Name, running.File))
}

func (b *Backend) writeConnector(ctx context.Context, name string,
	request rest.ConfigRequest) (result rest.WriteResult, err error) {
	var ahead checkedConfig
	if request.New == nil { // a new connector has no task that the change could interrupt
		if ahead, err = b.checkAhead(ctx, name, request); err != nil {
			return result, err
		}
	}
	r, err := b.lockForChange(ctx)
	if err != nil {
		return result, err
	}
	defer r.Lock.Unlock()
	running, unknownErr := b.herder().RunningConfig(name)
	switch {
	case !request.Patch: // the configuration is complete
	case unknownErr != nil:
		return result, unknownErr
	case slices.Contains(request.Null, "name"):
		return result, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(setting.Missing("name"))}
	}
	if err := b.write(ctx, r, name, request, ahead); err != nil {
		return result, err
	}
	result.Created = unknownErr != nil
	if err := b.restartIfFailed(ctx, name, running, result.Created); err != nil {
		return result, err
	}
	h := b.herder()
	info, _ := h.Info(name)
	info.Name = name
	if result.Created || info.Tasks == nil {
		info.Tasks = []connect.TaskID{}
	}
	result.Info = info
	result.Version = r.Stored(name).Version
	return result, nil
}

func (b *Backend) source(name string, withText bool) (text []byte, version string, err error) {
	running, err := b.herder().RunningConfig(name)
	switch {
	case err != nil:
		return nil, "", err
	case running.Config.Version != "":
		return nil, running.Config.Version, nil
	case !withText:
		return nil, "", nil
	}
	text, err = config.ReadText(running.File)
	return text, "", err
}

// checkAhead checks the change of a running connector before the reloader is locked, so that no other change waits for
// its service. The result does not count if anything has changed since, see [Backend.isCurrent]; the zero result never
// counts.
func (b *Backend) checkAhead(ctx context.Context, name string,
	request rest.ConfigRequest) (checked checkedConfig, err error) {
	r := b.Parts.Get().Reloader
	if r == nil || b.herder() == nil || b.Config.Once {
		return checked, nil
	}
	if running, unknown := b.herder().RunningConfig(name); unknown != nil || b.checkOwnership(r, running) != nil {
		return checked, nil // nothing of it runs, or it must not change
	}
	if request.Precondition != nil { // reject a change of a configuration that has changed since
		if err := b.Group.Refresh(ctx); err != nil {
			return checked, group.AsRESTError(err)
		}
		if !request.Precondition(r.Stored(name).Version) {
			return checked, asRESTError(&config.ChangedError{Connector: name})
		}
	}
	const mayAsk = true
	checked, err = b.checkConfig(ctx, r, name, request, mayAsk)
	if err != nil && ctx.Err() == nil {
		return checkedConfig{}, nil // the change finds it again
	}
	return checked, err
}

// isCurrent reports whether nothing that the check of a running connector depends on has changed since.
func (b *Backend) isCurrent(checked checkedConfig) bool {
	if checked.connector == nil {
		return false
	}
	current, err := b.herder().RunningConfig(checked.connector.Name)
	if err != nil || current.Config != checked.current.Config || current.Rejected != checked.current.Rejected {
		return false
	}
	samePlugins := checked.connector.Current() == checked.connector
	return slices.Equal(b.checker().Connectors, checked.others) && samePlugins &&
		(checked.hasAsked || !b.changes().Interrupts(checked.connector, checked.change))
}

// settingsOf returns the settings that a request results in.
func settingsOf(running resolved.RunningConnector, request rest.ConfigRequest) map[string]string {
	if !request.Patch {
		return maps.Clone(request.Settings)
	}
	settings := maps.Clone(running.Raw)
	maps.Copy(settings, request.Settings)
	for _, key := range request.Null {
		delete(settings, key)
	}
	return settings
}

// restartIfFailed restarts a failed connector that was written again without a change, as Kafka Connect does.
func (b *Backend) restartIfFailed(ctx context.Context, name string, previous resolved.RunningConnector,
	created bool) error {
	current, _ := b.herder().RunningConfig(name)
	if created || previous.Rejected || !maps.Equal(previous.Raw, current.Raw) {
		return nil
	}
	if s, err := b.herder().Status(name); err == nil && s.Connector.State == connect.Failed {
		b.herder().Events().Record(ctx, events.Event{Connector: name, Kind: "restarted"})
		return b.herder().Restart(name)
	}
	return nil
}

func (b *Backend) deleteConnector(ctx context.Context, name string) error {
	r, err := b.lockForChange(ctx)
	if err != nil {
		return err
	}
	defer r.Lock.Unlock()
	running, err := b.herder().RunningConfig(name)
	if err != nil {
		return err
	}
	if err := b.checkOwnership(r, running); err != nil {
		return err
	}
	if err := r.Store().Delete(ctx, name); err != nil {
		return asRESTError(err)
	}
	r.ApplyOne(ctx, name, nil, nil)
	return nil
}

// checkedConfig is the result of checking a configuration.
type checkedConfig struct {
	connector *resolved.Connector   // nil if the configuration could not be read
	others    []*resolved.Connector // the connectors of the installation at the time of the check
	hasAsked  bool                  // the check was allowed to send requests to the service
	change    check.ConfigChange
	current   resolved.RunningConnector // the existing connector with the name
	unknown   error                     // not nil if no connector has the name
	locked    error                     // why the existing connector must not change; nil if it may
	errors    []string                  // in Kafka Connect's words
	warnings  config.Problems
}

// write checks a configuration and, if it is valid, stores and applies exactly that. As in Kafka Connect, the request
// to create an existing connector is rejected only if its configuration is valid. ahead is the check from before the
// lock was held.
func (b *Backend) write(ctx context.Context, r *reload.Reloader, name string, request rest.ConfigRequest,
	ahead checkedConfig) (err error) {
	checked := ahead
	if !b.isCurrent(checked) {
		const mayAsk = true
		if checked, err = b.checkConfig(ctx, r, name, request, mayAsk); err != nil {
			return err
		}
	}
	switch {
	case checked.locked != nil:
		return checked.locked
	case len(checked.errors) > 0:
		return &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(checked.errors...)}
	}
	stored := config.Stored{Connector: checked.connector.Connector, IfMatch: request.Precondition}
	switch {
	case request.New != nil && checked.unknown == nil:
		return &rest.Refusal{Status: http.StatusConflict, Message: "Connector " + name + " already exists"}
	case request.New != nil:
		stored.Target = request.New.StoredName()
	case checked.unknown != nil: // not the target state of an earlier connector of the name
		stored.Target = config.TargetStarted
	}
	if request.Precondition != nil { // read what others have written
		if err := b.Group.Refresh(ctx); err != nil {
			return group.AsRESTError(err)
		}
	}
	if err := r.Store().Put(ctx, name, stored); err != nil {
		return asRESTError(err)
	}
	r.ApplyOne(ctx, name, checked.connector, checked.warnings)
	return nil
}

// checkConfig changes nothing. An error means that the configuration cannot be checked. With mayAsk it sends requests
// to the service if nothing else is wrong and the change would interrupt a task.
func (b *Backend) checkConfig(ctx context.Context, r *reload.Reloader, name string, request rest.ConfigRequest,
	mayAsk bool) (checked checkedConfig, err error) {
	checked.current, checked.unknown = b.herder().RunningConfig(name)
	settings := settingsOf(checked.current, request)
	if request.Patch {
		request.Null = nil // settingsOf has deleted these; otherwise null is an error
	}
	if other, ok := settings["name"]; ok && other != name {
		return checked, &rest.Refusal{Status: http.StatusBadRequest, Message: "Connector name configuration (" + other +
			") doesn't match connector name in the URL (" + name + ")"}
	}
	settings["name"] = name
	c, err := b.restoreMasked(settings)
	if err != nil {
		return checked, err
	}
	checker := b.checker()
	checked.connector = c
	checked.others = checker.Connectors
	if err := checkClassSetting(c); err != nil {
		return checked, err
	}
	if err := checkClass(c); err != nil {
		return checked, err
	}
	nameProblem := rest.CheckName(name)
	if nameProblem == "" && c.Name != name { // it would be stored under the resolved name
		return checked, &rest.Refusal{Status: http.StatusBadRequest, Message: rest.Invalid(setting.Invalid("name", name,
			"expected a name, found a reference to a config provider"))}
	}
	if checked.unknown == nil {
		checked.locked = b.checkOwnership(r, checked.current)
	}
	if nameProblem != "" {
		checked.errors = append(checked.errors, nameProblem)
	}
	isReported := func(key string) bool {
		return (key == "name" && nameProblem != "") || slices.Contains(request.Null, key)
	}
	// The problems, without the service if there are any.
	changes := b.changes()
	checked.change = changes.Change(c, request.Settings)
	problems := slices.Concat(c.Problems, b.Worker.ClearTextProblems(c.Connector, b.passwords()),
		checked.change.MisdirectedSecrets(), changes.OriginProblems(ctx, c))
	checked.hasAsked = mayAsk && checked.locked == nil && len(checked.errors)+len(request.Null) == 0 &&
		problems.Err() == nil && b.canContactService(ctx, c) && changes.Interrupts(c, checked.change)
	if checked.hasAsked {
		*checker = changes.Online(*checker, checked.change)
	}
	var others []string
	for _, p := range append(problems, checker.Check(ctx, c)...) {
		switch {
		case p.Warning:
			checked.warnings = append(checked.warnings, p)
		case !isReported(p.Setting):
			others = append(others, check.Message(p))
		}
	}
	checked.errors = slices.Concat(checked.errors, slices.Repeat([]string{rest.NullValue}, len(request.Null)), others)
	if ctx.Err() != nil {
		return checked, timeoutError(ctx)
	}
	return checked, nil
}
