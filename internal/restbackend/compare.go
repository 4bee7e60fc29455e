package restbackend

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// compareConfig shows the sender no passwords if masked is set, nor confirms a guess: a password in clear text counts
// as different. The service is asked about feeds without the lock.
func (b *Backend) compareConfig(ctx context.Context, name string, request rest.ConfigRequest,
	masked bool) (out rest.Comparison,
	err error) {
	r, err := b.lockForChange(ctx)
	if err != nil {
		return out, err
	}
	e, err := b.compare(ctx, r, name, request, masked, &out)
	r.Lock.Unlock()
	if err == nil && e.unknown == nil && out.Effect != config.NoChange && out.Effect != config.Reject {
		b.compareFeeds(ctx, e, &out)
	}
	return out, cmp.Or(err, ctx.Err())
}

func (b *Backend) compare(ctx context.Context, r *reload.Reloader, name string, request rest.ConfigRequest, masked bool,
	out *rest.Comparison) (checkedConfig, error) {
	e, err := b.examine(ctx, r, name, request)
	var refusal *rest.Refusal
	if errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest {
		e.errors, err = []string{refusal.Message}, nil
	}
	if err != nil {
		return e, err
	}
	password, there := b.passwords(), e.unknown == nil
	out.Connector, out.Effect, out.Differences = name, config.Reject, []rest.Difference{}
	out.Problems = e.errors
	for _, p := range e.warnings {
		out.Warnings = append(out.Warnings, check.Message(p))
	}
	var have []config.RunningConnector
	if there {
		have = []config.RunningConnector{e.current}
		out.File, out.KeepsRunning = e.current.File, len(e.errors) > 0 && !e.current.Rejected
		b.compareStored(r, e.current, out, password)
	}
	if e.locked == nil {
		e.locked = r.Store().CheckWritable(name, "")
	}
	if e.locked != nil {
		out.Kept = e.locked.Error()
	}
	if e.connector == nil {
		return e, nil
	}
	for key, value := range request.Settings {
		if masked && value != "" && e.current.Raw[key] == value && password(key) && !config.IsReference(value) {
			e.current.Raw[key] = config.Mask
		}
	}
	out.Differences = rest.Differences(e.current.Raw, e.connector.Raw(), password)
	for _, d := range out.Differences {
		if there {
			out.Settings = append(out.Settings, d.Setting)
		}
	}
	if len(e.errors) == 0 {
		none := func(*config.Connector) config.Problems { return nil }
		out.Effect = config.Diff(have, []*config.Connector{e.connector}, none, r.Checker.Declared)[0].Action
	}
	return e, nil
}

func (b *Backend) compareStored(r *reload.Reloader, now config.RunningConnector, out *rest.Comparison,
	password func(string) bool) {
	stored := r.Stored(now.Name)
	out.StoredProblem = r.Rejection(now.Name)
	out.Version = stored.Version
	if err := stored.Problems.Err(); err != nil {
		out.StoredProblem = err.Error()
	} else if stored.Name == now.Name {
		out.Stored = rest.Differences(now.Raw, stored.Raw(), password)
	}
}

// compareFeeds finds the feeds whose stored offsets would no longer belong to them.
func (b *Backend) compareFeeds(ctx context.Context, e checkedConfig, out *rest.Comparison) {
	c, checker := e.connector, b.checker()
	if _, _, err := components.Find(checker.Plugins, c.Text("connector.class"), "", wit.ComponentSource); err != nil {
		return // it is a sink
	}
	c.Problems = append(c.Problems, e.change.MisdirectedSecrets()...) // with these, no service is asked
	err := errors.New("its service is not asked")
	var feeds []wit.Feed
	if b.canContactService(ctx, c) {
		checker.Wait, checker.Logon = check.OnlineTimeout, e.change.HasCompleteCredentials()
		feeds, err = checker.Feeds(ctx, c)
	}
	var changed map[string][]string
	if err == nil {
		changed, err = b.herder().ChangedFeeds(ctx, c.Name, feeds)
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
