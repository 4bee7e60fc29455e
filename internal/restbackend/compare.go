package restbackend

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// compareConfig returns the effect of storing a configuration. If masked is set, the sender sees no passwords, and a
// guess is not confirmed: a password in clear text counts as different. The service is queried without the lock.
func (b *Backend) compareConfig(ctx context.Context, name string, request rest.ConfigRequest,
	masked bool) (comparison rest.Comparison, err error) {
	r, err := b.lockForChange(ctx)
	if err != nil {
		return comparison, err
	}
	checked, err := b.compare(ctx, r, name, request, masked, &comparison)
	r.Lock.Unlock()
	if err == nil && checked.unknown == nil && comparison.Effect != resolved.NoChange &&
		comparison.Effect != resolved.Reject {
		b.compareFeeds(ctx, checked, &comparison)
	}
	return comparison, cmp.Or(err, ctx.Err())
}

// compare checks a configuration, and sets all of the comparison but what compareFeeds adds. The lock is held. A
// request that storing would reject as invalid is a result, not an error.
func (b *Backend) compare(ctx context.Context, r *reload.Reloader, name string, request rest.ConfigRequest, masked bool,
	comparison *rest.Comparison) (checkedConfig, error) {
	const mayAsk = false
	checked, err := b.checkConfig(ctx, r, name, request, mayAsk)
	var refusal *rest.Refusal
	if errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest {
		checked.errors = []string{refusal.Message}
		err = nil
	}
	if err != nil {
		return checked, err
	}
	isPassword := b.passwords()
	exists := checked.unknown == nil
	comparison.Connector = name
	comparison.Effect = resolved.Reject
	comparison.Differences = []rest.Difference{}
	comparison.Problems = checked.errors
	for _, p := range checked.warnings {
		comparison.Warnings = append(comparison.Warnings, check.Message(p))
	}
	// The existing connector: its file or record may differ from what runs, or may be locked.
	var running []resolved.RunningConnector
	if exists {
		running = []resolved.RunningConnector{checked.current}
		comparison.File = checked.current.File
		comparison.KeepsRunning = len(checked.errors) > 0 && !checked.current.Rejected
		stored := r.Stored(checked.current.Name)
		comparison.StoredProblem = r.Rejection(checked.current.Name)
		comparison.Version = stored.Version
		if err := stored.Problems.Err(); err != nil {
			comparison.StoredProblem = err.Error()
		} else if stored.Name == checked.current.Name {
			comparison.Stored = rest.Differences(checked.current.Raw, stored.Raw(), isPassword)
		}
	}
	if checked.locked == nil { // also for a new connector
		checked.locked = r.Store().CheckWritable(name, "")
	}
	if checked.locked != nil {
		comparison.LockedReason = checked.locked.Error()
	}
	if checked.connector == nil {
		return checked, nil
	}
	// The change, with guessed passwords as different.
	for key, value := range request.Settings {
		if masked && value != "" && checked.current.Raw[key] == value && isPassword(key) && !config.IsReference(value) {
			checked.current.Raw[key] = config.Mask
		}
	}
	comparison.Differences = rest.Differences(checked.current.Raw, checked.connector.Raw(), isPassword)
	for _, d := range comparison.Differences {
		if exists {
			comparison.Settings = append(comparison.Settings, d.Setting)
		}
	}
	if len(checked.errors) == 0 {
		noProblems := func(*resolved.Connector) config.Problems { return nil }
		files := []*resolved.Connector{checked.connector}
		for step := range resolved.Diff(running, files, noProblems) {
			comparison.Effect = step.Action
		}
	}
	return checked, nil
}

// mismatchEffects has REST's words.
var mismatchEffects = map[wit.MismatchPolicy]string{wit.MismatchFail: "fail", wit.MismatchReload: "reload",
	wit.MismatchKeep: "keep"}

// compareFeeds finds the feeds whose stored offsets would no longer belong to them, and those with another topic whose
// rows were read before.
func (b *Backend) compareFeeds(ctx context.Context, checked checkedConfig, comparison *rest.Comparison) {
	c := checked.connector
	checker := b.checker()
	if !c.Class.Is(wit.ComponentSource) {
		return
	}
	// With problems, no service is called.
	c = c.WithProblems(slices.Concat(c.Problems, checked.change.MisdirectedSecrets()))
	err := errors.New("its service was not queried")
	var opened check.OpenedSource
	if b.canContactService(ctx, c) {
		checker.Logon = checked.change.HasCompleteCredentials()
		checker.Wait = check.OnlineTimeout
		opened, err = checker.OpenSource(ctx, c)
	}
	var stored map[string]connect.StoredFeed
	if err == nil {
		stored, err = b.herder().StoredFeeds(ctx, c.Name, opened.Feeds)
	}
	if err != nil {
		comparison.Warnings = append(comparison.Warnings, "it is unknown which feeds would be read again: "+err.Error())
		return
	}
	var movedTopics []string
	if running := checked.current.Config; running != nil {
		movedTopics = check.MovedTopics(running, c)
	}
	currentTopics := map[string]string{} // by feed
	metrics, _ := b.herder().ConnectorMetrics(c.Name)
	for _, task := range metrics.Tasks {
		if task.Progress == nil {
			continue
		}
		for _, feed := range task.Feeds {
			currentTopics[feed.Name] = feed.Topic
		}
	}
	for i, f := range opened.Feeds {
		changedFields := stored[f.Name].Changed
		if changedFields != nil {
			comparison.Feeds = append(comparison.Feeds, rest.FeedChange{Feed: f.Name,
				Effect: mismatchEffects[f.OnMismatch], ChangedFields: changedFields})
		}
		continues := changedFields == nil || f.OnMismatch == wit.MismatchKeep
		offset := stored[f.Name].Offset
		isMoved := slices.Contains(movedTopics, f.Topic) && currentTopics[f.Name] != f.Topic
		if offset == nil || !continues || !isMoved {
			continue
		}
		lines, err := checker.StartLog(ctx, c, opened, i, offset)
		if err != nil {
			comparison.Warnings = append(comparison.Warnings,
				"it is unknown what "+f.Name+" would write to topic "+f.Topic+": "+err.Error())
		}
		for _, line := range lines {
			comparison.Warnings = append(comparison.Warnings, "its start would log: "+line)
		}
	}
}
